"""Pictures for people: what went in, what is true, what was told."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stages.export.choose import evaluated, threshold_of
from stages.geometry.cameras import DISTANCE
from stages.geometry.mesh import Mesh
from stages.geometry.voxels import to_mesh
from stages.render import Params as RenderParams
from stages.render.views import render_views
from stages.store.workspace import Artefact, Workspace, category_of
from stages.train.run import Run

TILE = 160
_GAP, _HEAD, _SIDE = 6, 22, 150
_TOLD, _TRUE = (0.85, 0.45, 0.20, 1.0), (0.35, 0.55, 0.75, 1.0)
# One view for all, so that shapes can be compared: from the front left, above.
STANDARD = np.array([-35.0, 25.0, 0.0, DISTANCE], np.float32)
COLUMNS = (
    "input",
    "true mask",
    "predicted mask",
    "projection, as told",
    "truth, true pose",
    "told, told pose",
    "truth, from one side",
    "told, from one side",
)


@dataclass(frozen=True)
class Sources:
    """The artefacts that a sheet is drawn from."""

    results: Artefact
    views: Artefact
    voxels: Artefact
    threshold: float


def reconstruction_sheet(workspace: Workspace, run: Run, count: int) -> bytes:
    """PNG of `count` test shapes, one a row and one view each: COLUMNS, with IoU and pose error.

    Taken in turn from the categories; drawn from the cache, without the network.
    """
    results = evaluated(workspace, run)
    variants = run.record()["data"]["variants"]
    sources = Sources(
        results,
        workspace.artefact("views", variants["views"]),
        workspace.artefact("voxels", variants["voxels"]),
        threshold_of(results),
    )
    ids = in_turn(sorted(results.index.items()), count)
    rows = [_row(sources, item, view) for item, view in zip(ids, _spread(len(ids)))]
    return sheet_png(COLUMNS, rows)


def in_turn(ids: Sequence[str], count: int) -> list[str]:
    """The first ids, one of each category after the other."""
    queues: dict[str, list[str]] = {}
    for item in ids:
        queues.setdefault(category_of(item), []).append(item)
    ordered = [q[n] for n in range(len(ids)) for q in queues.values() if n < len(q)]
    return ordered[:count]


def _spread(count: int) -> list[float]:
    """A different view for each row, as a share of all views: quarter turns and a bit."""
    return [(0.08 + 0.29 * n) % 1.0 for n in range(count)]


def _row(sources: Sources, item: str, share: float) -> tuple[str, list[np.ndarray]]:
    told = sources.results.read(item)
    view = int(share * len(told["mask"]))
    seen = sources.views.read(item, ("rgb", "mask", "viewpoint"))
    truth = sources.voxels.read(item, ("voxels",))["voxels"].astype(np.float32)
    shape = told["voxels"][view].astype(np.float32) / 255
    column = round(sources.threshold * 100) - 1
    label = (
        f"{item}\nIoU {told['voxel_iou'][view, column]:.2f}\n"
        f"pose error {told['rotation_error_deg'][view]:.0f}°"
    )
    true_mesh = surface(truth, 0.5, _TRUE)
    told_mesh = surface(shape, sources.threshold, _TOLD)
    return label, [
        seen["rgb"][view],
        _grey(seen["mask"][view]),
        _grey(told["mask"][view]),
        _grey(projection(shape >= sources.threshold, told["viewpoint"][view])),
        picture(true_mesh, seen["viewpoint"][view]),
        picture(told_mesh, told["viewpoint"][view]),
        picture(true_mesh, STANDARD),
        picture(told_mesh, STANDARD),
    ]


def surface(values: np.ndarray, threshold: float, rgba: tuple[float, ...]) -> Mesh | None:
    """The surface of an occupancy grid over [-0.5, 0.5]^3 in one colour, None if it is empty."""
    if values.max() <= threshold:
        return None
    mesh = to_mesh(values, np.full(3, -0.5), 1.0, threshold)
    return dataclasses.replace(mesh, material_rgba=np.array([rgba], np.float32))


def picture(mesh: Mesh | None, viewpoint: np.ndarray, size: int = TILE) -> np.ndarray:
    """(size, size, 3) uint8 view of a mesh; white if there is none."""
    if mesh is None:
        return np.full((size, size, 3), 255, np.uint8)
    return render_views(mesh, viewpoint[None], RenderParams(size=size, backend="numba"))["rgb"][0]


def projection(solid: np.ndarray, viewpoint: np.ndarray) -> np.ndarray:
    """(48, 48) uint8, 255 where the rays of a viewpoint (4,) meet a grid, as Table 4 has it."""
    from stages.evaluate.baselines import camera
    from stages.evaluate.reconstruction import silhouettes

    return 255 * silhouettes(solid, camera(viewpoint[None]))[0].astype(np.uint8)


def _grey(mask: np.ndarray) -> np.ndarray:
    return np.repeat(255 - mask[..., None], 3, axis=2)


def sheet_png(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[np.ndarray]]]) -> bytes:
    """PNG of a `sheet`."""
    buffer = io.BytesIO()
    sheet(columns, rows).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def sheet(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[np.ndarray]]]) -> Image.Image:
    """Labelled rows of pictures under column heads; pictures are scaled to one size."""
    width = _SIDE + len(columns) * (TILE + _GAP) + _GAP
    height = _HEAD + len(rows) * (TILE + _GAP) + _GAP
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(12)
    for number, head in enumerate(columns):
        draw.text((_SIDE + number * (TILE + _GAP), 4), head, "black", font)
    for line, (label, pictures) in enumerate(rows):
        top = _HEAD + line * (TILE + _GAP)
        draw.text((_GAP, top + _GAP), _wrapped(label), "black", font)
        for number, pixels in enumerate(pictures):
            tile = Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.BICUBIC)
            image.paste(tile, (_SIDE + number * (TILE + _GAP), top))
    return image


def _wrapped(label: str) -> str:
    """Long ids over two lines, at the slash."""
    return label.replace("/", "/\n", 1)
