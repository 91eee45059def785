"""A server on this machine through which a browser looks at an artefact, item after item.

viser draws and sends; what is seen is what `stages.report.shown` gives. It is the extra `viewer`.
"""

from __future__ import annotations

import contextlib
import io
import socket
from typing import Any

import numpy as np

from stages.errors import EnvironmentLacks, UsageError
from stages.report.browse import Browsing
from stages.report.solids import Solid, simplified

LOCAL = "127.0.0.1"
_FACES = 200_000  # a browser beside the server bears more than a page that is sent
_POINTS = 200_000
_FROM = (-0.9, -1.8, 0.9)  # the front, from its left and above
_GAP = 1.15  # between the solids of an item, in diagonals


class Viewer:
    """A running server; `close` ends it."""

    def __init__(self, browsing: Browsing, host: str, port: int) -> None:
        """Start on `host`; port 0 takes a free one.

        Raises EnvironmentLacks without viser, UsageError for an address that cannot be had.
        """
        try:
            import viser
        except ImportError:
            raise EnvironmentLacks(
                "looking at things in the browser needs the package viser",
                "run: pip install 'crossdim[viewer]'   (or write a page: --html FILE)",
            ) from None
        self._browsing = browsing
        with contextlib.redirect_stdout(io.StringIO()):  # viser has a banner of its own
            self._server: Any = viser.ViserServer(
                host=host, port=free_port(host, port), label="crossdim", verbose=False
            )
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._server.get_port()}"
        self._server.scene.set_up_direction("+z")
        # the button would ask a server of others to pass this one on to the whole world
        self._server.gui.configure_theme(show_share_button=False, show_logo=False)
        self._server.initial_camera.position = _FROM
        self._server.initial_camera.look_at = (0.0, 0.0, 0.0)
        self._solids: list[Any] = []
        self._pictures: list[Any] = []
        self._add_controls()
        self._update()

    def _add_controls(self) -> None:
        gui, ids = self._server.gui, self._browsing.items
        self._note = gui.add_markdown("")
        self._category = gui.add_dropdown(
            "category", list(dict.fromkeys(item.partition("/")[0] for item in ids))
        )
        self._item = gui.add_dropdown("item", self._of_category())
        self._view = gui.add_slider("view", min=0, max=1, step=1, initial_value=0)

        @self._category.on_update
        def _(_: Any) -> None:
            self._item.options = self._of_category()  # which chooses the first, and updates

        @self._item.on_update
        def _(_: Any) -> None:
            self._update()

        @self._view.on_update
        def _(_: Any) -> None:
            self._update()

    def _of_category(self) -> list[str]:
        chosen = self._category.value
        return [item for item in self._browsing.items if item.partition("/")[0] == chosen]

    def _update(self) -> None:
        """Show the chosen item from the chosen view."""
        shown = self._browsing.show(self._item.value, int(self._view.value))
        with self._server.atomic():
            for handle in (*self._solids, *self._pictures):
                handle.remove()
            self._view.disabled = shown.views < 2
            self._view.max = max(1, shown.views - 1)
            self._note.content = _plain(f"{shown.title}: {shown.note}")
            self._solids = [
                handle
                for place, solid in enumerate(shown.solids)
                for handle in self._add(solid, place, len(shown.solids))
            ]
            self._pictures = [
                self._server.gui.add_image(picture.pixels, label=picture.label)
                for picture in shown.pictures
            ]

    def _add(self, solid: Solid, place: int, count: int) -> list[Any]:
        """A solid beside the others, and its name under it."""
        if solid.is_empty:
            return []
        scene, name = self._server.scene, f"/solid{place}"
        across = (place - (count - 1) / 2) * _GAP
        small = simplified(solid, _FACES, _POINTS)
        vertices = np.asarray(small.vertices, np.float32)
        if len(small.faces):
            handle = scene.add_mesh_trimesh(name, _coloured(small), position=(across, 0, 0))
        else:
            colours = np.broadcast_to(small.colours, (len(vertices), 3))
            handle = scene.add_point_cloud(
                name, vertices, colours, point_size=0.006, position=(across, 0, 0)
            )
        label = scene.add_label(f"{name}/label", solid.label, position=(0, 0, -0.65))
        return [label, handle]

    def close(self) -> None:
        """End the server and the threads that it has started."""
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()
        self._browsing.artefact.close()


def _coloured(solid: Solid) -> Any:
    import trimesh

    colours = np.broadcast_to(solid.colours, (len(solid.faces), 3))
    return trimesh.Trimesh(
        np.asarray(solid.vertices, float), solid.faces, face_colors=colours, process=False
    )


def _plain(text: str) -> str:
    """The text with what Markdown would take for markup escaped."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-.!|~&$:/" else c for c in text)


def free_port(host: str, port: int) -> int:
    """The port if it can be had, a free one for 0; UsageError with another one otherwise."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"cannot listen on {host} port {port}: {reason}", "use another --port, 0 for a free one"
        ) from None
