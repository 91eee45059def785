"""Workspaces and names for tests of pages."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from stages.geometry.mesh import Mesh
from stages.shapes.spec import labels
from stages.store.commit import commit_bytes, make_folder
from stages.store.manifest import check_id
from stages.store.workspace import Workspace
from tests.attacks.names import HTML, NAMES
from tests.evaluate.made import World, put

SCRIPT, IMAGE = HTML[:2]


def _readable(item: str) -> bool:
    try:
        return check_id(item) == item
    except ValueError:
        return False


# Ids that a file of others may hold, and that readers take; their categories are markup, or odd.
HOSTILE_IDS = [i for n, name in enumerate(NAMES) if _readable(i := f"{name}/{n}")]


def patience(seconds: float) -> float:
    """So many seconds of a machine of our own, in seconds of one that others work on, too."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def cube(size: float = 0.5, place: Sequence[float] = (0, 0, 0)) -> Mesh:
    """A cube of that side around a place, outside faces out."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float) - 0.5
    faces = [
        *((0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)),
        *((2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)),
    ]
    return Mesh.plain(corners * size + np.asarray(place), np.array(faces))


def hostile_workspace(root: Path) -> Workspace:
    """Shapes, views and a run whose names try to be markup; results with a summary of such rows."""
    ids = HOSTILE_IDS
    arrays = {**cube().to_arrays(), **labels("test", "", '<b onclick="x">', "")}
    put(root, "shapes/made", dict.fromkeys(ids, arrays))
    world = World(root, ids, views=2)
    world.see()
    run = world.run("equivariant", name=IMAGE)
    rows = "step,seconds,lr,<script>alert(1)</script>,val_loss\n1,0.5,0.1,3.0,\n2,0.9,0.1,2.0,1.5\n"
    commit_bytes(run.metrics, rows.encode())
    folder = root / "results" / "relpose" / "equivariant-made-test"
    nothing = np.zeros((0, 3, 3))
    from stages.evaluate.angles import Pair, arrays_of

    pair = Pair(0, ids[1], 1)
    told = {
        "rotation": np.broadcast_to(np.eye(3, dtype=np.float32), (2, 3, 3)),
        **arrays_of("instance", [], nothing, np.zeros((0, 1, 3, 3))),
        **arrays_of("category", [pair], np.eye(3)[None], np.eye(3)[None, None]),
    }
    put(
        root,
        "results/relpose/equivariant-made-test",
        {ids[0]: told},
        run="equivariant-made",
        weights="1" * 64,
        data="f",
        inputs=["views/test 0"],
    )
    summary = {
        "run": SCRIPT,
        "system": "equivariant",
        "step": 7,
        "seed": 0,
        "items": 1,
        "inputs": list(NAMES),
        "titles": {name: name for name in NAMES},
        "tables": {name: {f"{name}: {name}": {name: 1.0}} for name in NAMES},
    }
    make_folder(folder)
    commit_bytes(folder / "summary.json", json.dumps(summary).encode())
    return Workspace(root)


class Parsed(HTMLParser):
    """Elements with their attributes, in order, and the text that is seen."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        self.text += " " if tag in ("td", "th", "li", "p", "summary", "dd", "dt") else ""

    def handle_data(self, data: str) -> None:
        self.text += "" if self._inside else data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of that kind."""
        return [attributes for name, attributes in self.elements if name == tag]
