"""Moving pictures: a shape turned as it was told, and a full turn around what one picture shows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from stages.errors import InputError
from stages.evaluate.answers import network, pictures
from stages.export.choose import cached_mesh
from stages.export.embedding import Told, as_drawn, pairs_of
from stages.export.pictures import in_turn, sheet
from stages.export.synthesis import coloured, telling
from stages.geometry.cameras import viewpoints_of
from stages.geometry.rotations import about_z, exponential, logarithm
from stages.render.views import render_views
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

FRAMES = 24
_HELD = 6  # more frames at the end of a turn, to look at where it has led
_FRAME_MS = 80
_COLOURS = 254  # of a palette, one more for the background
ALIGNMENT = ("first", "second", "second, turned as told", "second, turned in truth")
SYNTHESIS = ("input", "embedding, turned", "synthesised", "true view")
Row = tuple[str, Sequence[np.ndarray]]


def gif_bytes(columns: Sequence[str], frames: Sequence[Sequence[Row]], held: int = 0) -> bytes:
    """GIF that repeats for ever, of sheets with the same columns; the last is `held` longer."""
    images = [sheet(columns, rows) for rows in frames]
    return palette_gif(images, [_FRAME_MS] * (len(images) - 1) + [_FRAME_MS * (1 + held)])


def palette_gif(images: Sequence[Image.Image], times: Sequence[int]) -> bytes:
    """GIF that repeats for ever, of pictures of one size, each shown for so many ms."""
    # one palette for all, so that backgrounds do not flicker; the last colour is exactly theirs
    palette = images[len(images) // 2].quantize(_COLOURS)
    behind = np.asarray(images[0].convert("RGB"))[0, 0]
    known = np.array((palette.getpalette() or [])[: 3 * _COLOURS], np.uint8)
    colours = np.concatenate([known, np.zeros(3 * _COLOURS - len(known), np.uint8), behind])
    drawn = [_with_palette(image, palette, colours) for image in images]
    buffer = io.BytesIO()
    drawn[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=drawn[1:],
        duration=list(times),
        loop=0,
        disposal=1,
    )
    return buffer.getvalue()


def _with_palette(image: Image.Image, palette: Image.Image, colours: np.ndarray) -> Image.Image:
    """A picture in the colours of a palette, and where it has the last of `colours`, in that."""
    numbers = np.array(image.quantize(palette=palette, dither=Image.Dither.NONE))
    numbers[(np.asarray(image.convert("RGB")) == colours[-3:]).all(-1)] = _COLOURS
    drawn = Image.fromarray(numbers)
    drawn.putpalette(colours.tobytes())
    return drawn


def alignment_gif(workspace: Workspace, results: Artefact, base: str, count: int) -> bytes:
    """GIF of pairs of views, one a row: ALIGNMENT.

    The second shape is turned, about one axis, from how it was seen to the pose of the first: by
    the rotation that was told (by the best method), and by the true one. Pairs as of
    `embedding.alignment_sheet`.
    """
    views, pairs = pairs_of(workspace, results, base, count)
    rows = [_turning(workspace, views, item, told) for item, told in pairs]
    return gif_bytes(ALIGNMENT, [[row[n] for row in rows] for n in range(FRAMES)], _HELD)


def _turning(workspace: Workspace, views: Artefact, item: str, pair: Told) -> list[Row]:
    """The row of one pair in each frame."""
    shape = bytes(pair.shape).decode()
    mine = views.read(item, ("rgb",))["rgb"][pair.view]
    other = views.read(shape, ("rgb", "extrinsics", "viewpoint"))
    start = other["extrinsics"][pair.other, :, :3].astype(np.float64)
    share = np.linspace(0, 1, FRAMES)
    share = share * share * (3 - 2 * share)  # it starts and stops gently
    mesh, drawn = cached_mesh(workspace, shape)[1], as_drawn(views)
    columns = []
    for turn in (pair.told[0], pair.truth):
        rotation = exponential(share[:, None] * logarithm(turn.astype(np.float64))) @ start
        seen = viewpoints_of(rotation, float(other["viewpoint"][pair.other, 3]))
        columns.append(render_views(mesh, seen, drawn)["rgb"])
    label = f"{item}\nand {shape.replace('/', '/' + chr(10), 1)}\n{pair.error_deg[0]:.0f}° off"
    return [(label, [mine, other["rgb"][pair.other], *tiles]) for tiles in zip(*columns)]


def synthesis_gif(
    workspace: Workspace, run: Run, views: Artefact, count: int, device: str
) -> bytes:
    """GIF of test shapes, one a row, as one picture of each says they look from all around.

    SYNTHESIS: the channel of the embedding that tells most, turned about the shape's vertical axis
    by a full turn, the pictures drawn from it, and the shape itself from there.
    """
    there = views.index.items()
    test = [item for item in sorted(run.record()["data"]["ids"]["test"]) if item in there]
    if not test:
        raise InputError(f"{views.name} shows no test shapes of {run.name}", "choose other --views")
    trained = network(str(run.folder), run.best()["sha256"], device)
    rows = [_around(workspace, trained, views, item, device) for item in in_turn(test, count)]
    return gif_bytes(SYNTHESIS, [[row[n] for row in rows] for n in range(FRAMES)])


def _around(
    workspace: Workspace, trained: Any, views: Artefact, item: str, device: str
) -> list[Row]:
    """The row of one shape in each frame: its first view, and what is seen going round it."""
    import torch

    arrays = views.read(item, ("rgb", "extrinsics", "viewpoint"))
    first = arrays["extrinsics"][0, :, :3].astype(np.float64)
    azimuth = 2 * np.pi * np.arange(FRAMES) / FRAMES
    rotation = first @ about_z(-azimuth)  # cameras further round by the azimuth
    told = trained.system.predict(
        trained.model,
        pictures(arrays["rgb"][:1]).to(device).expand(FRAMES, -1, -1, -1),
        trained.params,
        torch.from_numpy(rotation @ first.T).float().to(device),
    )
    maps = told["embedding"].cpu().numpy()
    channel = telling(maps)[0]
    most = np.abs(maps[:, channel]).max()
    drawn = (told["picture"] * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    seen = viewpoints_of(rotation, float(arrays["viewpoint"][0, 3]))
    true = render_views(cached_mesh(workspace, item)[1], seen, as_drawn(views))["rgb"]
    tiles = zip((coloured(one[channel], most) for one in maps), drawn, true)
    return [(item, [arrays["rgb"][0], *frame]) for frame in tiles]
