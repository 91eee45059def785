"""One item of the results of a protocol: what went in, what is true, what was told.

Everything comes from the cache, nothing from a network. Letters: V views, M methods, N keypoints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import CrossdimError, InputError, UsageError
from stages.evaluate.clouds import NUMBERS
from stages.export.choose import threshold_of
from stages.export.embedding import Told, as_drawn
from stages.export.points import split_clouds
from stages.geometry.cameras import viewpoints_of
from stages.geometry.voxels import to_mesh
from stages.render.views import render_views
from stages.report import solids
from stages.report.shown import (
    Picture,
    Show,
    Shown,
    dotted,
    find_shape,
    shape_solid,
    text_of,
    views_of,
)
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run, list_runs


def run_of(workspace: Workspace, results: Artefact) -> Run:
    """The run that results are of; InputError when it is gone."""
    key = results.index.key
    name = str(params_of(key).get("run", results.variant)) if key else results.variant
    for run in list_runs(workspace.root):
        if name == f"{run.system}-{run.name}":
            return run
    raise InputError(f"the run of {results.name} is gone", "see: crossdim status")


def inputs_of(workspace: Workspace, results: Artefact) -> list[Artefact]:
    """The artefacts that results were measured on, as their parameters name them."""
    key = results.index.key
    names = [text.partition(" ")[0] for text in params_of(key).get("inputs", ())] if key else []
    parts = [name.rpartition("/") for name in names]
    return [workspace.artefact(stage, variant) for stage, _, variant in parts]


def _views_of(workspace: Workspace, results: Artefact) -> Artefact:
    for artefact in inputs_of(workspace, results):
        if artefact.stage == "views":
            return artefact
    raise InputError(f"{results.name} was not measured on views", "see: crossdim status")


def _reconstruction(workspace: Workspace, results: Artefact, item: str, view: int) -> Shown:
    variants = run_of(workspace, results).record()["data"]["variants"]
    told = results.read(item, ("voxels", "mask", "voxel_iou", "rotation_error_deg"))
    count = len(told["mask"])
    view = min(view, count - 1)
    seen = workspace.artefact("views", variants["views"]).read(item, ("rgb", "mask"))
    truth = workspace.artefact("voxels", variants["voxels"]).read(item, ("voxels",))["voxels"]
    threshold = threshold_of(results)
    iou = told["voxel_iou"][view, round(threshold * 100) - 1]
    note = f"view {view} of {count}: IoU {iou:.2f}, pose error "
    note += f"{told['rotation_error_deg'][view]:.0f}°"
    grids = (
        ("truth", truth.astype(np.float32), 0.5, solids.TRUE),
        ("prediction", told["voxels"][view].astype(np.float32) / 255, threshold, solids.TOLD),
    )
    found = [_surface(*grid) for grid in grids]
    pictures = (
        Picture("input", seen["rgb"][view]),
        Picture("true mask", _grey(seen["mask"][view])),
        Picture("predicted mask", _grey(told["mask"][view])),
    )
    return Shown(item, note, pictures, tuple(found), count)


def _surface(label: str, values: np.ndarray, threshold: float, colour: Any) -> solids.Solid:
    """The surface of an occupancy grid over [-0.5, 0.5]^3; nothing where it is empty."""
    if values.max() <= threshold:
        empty = np.zeros((0, 3))
        return solids.Solid(f"{label}: empty", empty, empty.astype(int), np.array([colour]))
    return solids.from_mesh(label, to_mesh(values, np.full(3, -0.5), 1.0, threshold), colour)


def _grey(mask: np.ndarray) -> np.ndarray:
    return np.repeat(mask[..., None], 3, axis=2)


def _pointcloud(workspace: Workspace, results: Artefact, item: str, view: int) -> Shown:
    clouds = split_clouds(results, item)
    view = min(view, len(clouds) - 1)
    number = results.read(item, ("number",))["number"][view, 0]
    rgb = _views_of(workspace, results).read(item, ("rgb",))["rgb"][view]
    told = solids.from_points("prediction", clouds[view], solids.TOLD)
    note = f"view {view} of {len(clouds)}: Chamfer {number[NUMBERS.index('Chamfer')]:.2f} (x 100)"
    truth = shape_solid(workspace, item, "truth")
    return Shown(item, note, (Picture("input", rgb),), (*truth, told), len(clouds))


def _novel_views(workspace: Workspace, results: Artefact, item: str, view: int) -> Shown:
    told = results.read(item, ("told", "turn_view", "turn_deg", "turn_told"))
    rgb = _views_of(workspace, results).read(item, ("rgb",))["rgb"]
    view = min(view, len(rgb) - 1)
    pictures = [Picture("input", rgb[view]), Picture("the same view, told", told["told"][view])]
    for turn, degrees in list(zip(told["turn_view"][view], told["turn_deg"][view]))[:1]:
        pictures.append(Picture(f"another view, told ({degrees:.0f}°)", told["turn_told"][view, 0]))
        pictures.append(Picture("that view, truth", rgb[turn]))
    note = f"view {view} of {len(rgb)}"
    return Shown(item, note, tuple(pictures), shape_solid(workspace, item, "truth"), len(rgb))


def _relative_pose(workspace: Workspace, results: Artefact, item: str, view: int) -> Shown:
    """The first camera's view, and the second shape as that camera would see it, told and true."""
    pair, count, base = _pair(results, item, view)
    views, shape = _views_of(workspace, results), text_of(pair.shape)
    mine = views.read(item, ("rgb", "viewpoint"))
    pictures = [Picture("first view", mine["rgb"][pair.view])]
    start = np.eye(3)
    if pair.other >= 0:  # else it is compared with the mesh itself, in the canonical frame
        other = views.read(shape, ("rgb", "extrinsics"))
        pictures.append(Picture("second view", other["rgb"][pair.other]))
        start = other["extrinsics"][pair.other, :, :3].astype(np.float64)
    mesh = find_shape(workspace, shape)
    if mesh is not None:
        turns = np.stack([pair.told[0], pair.truth]).astype(np.float64) @ start
        seen = viewpoints_of(turns, float(mine["viewpoint"][pair.view, 3]))
        drawn = render_views(mesh, seen, as_drawn(views))["rgb"]
        pictures += [Picture("second, as told", drawn[0]), Picture("second, in truth", drawn[1])]
    against = "its own mesh" if pair.other < 0 else "another view"
    if base == "category":
        against = f"{'the mesh' if pair.other < 0 else 'a view'} of {shape}"
    note = f"view {int(pair.view)} and {against}: {pair.error_deg[0]:.0f}° off"
    return Shown(item, note, tuple(pictures), (), count)


def _pair(results: Artefact, item: str, number: int) -> tuple[Told, int, str]:
    """Pair `number` of an item, those of the category before those of one shape, and how many."""
    for base in ("category", "instance"):
        names = tuple(f"{base}_{what}" for what in Told._fields)
        found = results.read(item, names)
        if count := len(found[names[0]]):
            return Told(*(found[n][min(number, count - 1)] for n in names)), count, base
    raise InputError(f"{results.name} has no pairs of {item}", "see: crossdim status")


def _retrieval(workspace: Workspace, results: Artefact, item: str, view: int) -> Shown:
    told = results.read(item, ("image_to_shape_rank", "image_to_shape_told"))
    count = len(told["image_to_shape_told"])
    view = min(view, count - 1)
    found, rank = (
        text_of(told["image_to_shape_told"][view, 0]),
        told["image_to_shape_rank"][view, 0],
    )
    views = _views_of(workspace, results)
    pictures = [Picture("query", views.read(item, ("rgb",))["rgb"][view])]
    if found in views.index.items():
        pictures.append(Picture(f"found: {found}", views.read(found, ("rgb",))["rgb"][view]))
    shapes = (*shape_solid(workspace, item, "truth"), *shape_solid(workspace, found, "found"))
    right = "found" if found == item else f"{found} was found; the true shape came {rank}."
    return Shown(item, f"view {view} of {count}: {right}", tuple(pictures), shapes, count)


def _classification(workspace: Workspace, results: Artefact, item: str, view: int) -> Shown:
    arrays = results.read(item)
    classes = run_of(workspace, results).record()["params"].get("classes", [])
    told = int(arrays["told"][min(view, len(arrays["told"]) - 1)])
    name = classes[told] if told < len(classes) else f"class {told}"
    share = float(arrays["probability"][min(view, len(arrays["told"]) - 1), told])
    return Shown(item, f"told: {name} ({share:.0%})", (), shape_solid(workspace, item))


def _keypoints(workspace: Workspace, results: Artefact, item: str, view: int) -> Shown:
    from stages.systems.interpreter.data import framed

    arrays = results.read(item, ("told", "truth", "labelled"))
    count = len(arrays["told"])
    view = min(view, count - 1)
    rgb = _pictured(workspace, results, item)[view]
    image = framed(rgb[None], 240)[0][0].permute(1, 2, 0).numpy()
    known = arrays["labelled"][view].astype(bool)
    pictures = (
        Picture("truth", dotted(image, arrays["truth"][view][known], known[known])),
        Picture("prediction", dotted(image, arrays["told"][view, 0][known], known[known])),
    )
    away = np.linalg.norm(arrays["told"][view, 0] - arrays["truth"][view], axis=-1)[known]
    note = f"view {view} of {count}: {np.mean(away):.0f} pixels off on average" if len(away) else ""
    return Shown(item, note, pictures, (), count)


def _pictured(workspace: Workspace, results: Artefact, item: str) -> np.ndarray:
    """(V, H, W, 3) the pictures that landmarks or photos are of."""
    marks = inputs_of(workspace, results)[0]
    if marks.stage == "keypoints":
        return marks.read(item, ("rgb",))["rgb"][None]
    return views_of(workspace, marks).read(item, ("rgb",))["rgb"]


def _skeleton(workspace: Workspace, results: Artefact, item: str, view: int) -> Shown:
    from stages.skeletons.template import TO_CANONICAL, load

    arrays = results.read(item, ("alpha", "aligned_rmse"))
    count = len(arrays["alpha"])
    view = min(view, count - 1)
    template = load(str(run_of(workspace, results).record()["params"]["template"]), workspace)
    points = np.tensordot(arrays["alpha"][view].astype(float), template.bases, 1) @ TO_CANONICAL.T
    points = (points - (points.min(0) + points.max(0)) / 2) / np.linalg.norm(np.ptp(points, axis=0))
    stick = solids.from_sticks("prediction", points, template.edges)
    note = f"view {view} of {count}: aligned RMSE {arrays['aligned_rmse'][view, 0]:.3f}"
    truth = shape_solid(workspace, item, "truth")
    pictures = (Picture("input", _pictured(workspace, results, item)[view]),)
    return Shown(item, note, pictures, (*truth, stick), count)


def _compared(workspace: Workspace, results: Artefact, item: str, view: int) -> Shown:
    """What one system says of views that all systems are asked about; not each tells a shape."""
    arrays = results.read(item, ("voxels", "voxel_iou", "error_deg"))
    rgb = _views_of(workspace, results).read(item, ("rgb",))["rgb"]
    view = min(view, len(rgb) - 1)
    told, facts = [], []
    if view < len(arrays["voxels"]):
        grid = arrays["voxels"][view] > 0
        told = [solids.from_voxels("prediction", grid, np.full(3, -0.5), 1.0, solids.TOLD)]
    for name, text in (("voxel_iou", "IoU {:.2f}"), ("error_deg", "pose error {:.0f}°")):
        if view < len(arrays[name]):
            facts.append(text.format(float(arrays[name][view])))
    note = f"view {view} of {len(rgb)}" + (f": {', '.join(facts)}" if facts else "")
    truth = shape_solid(workspace, item, "truth")
    return Shown(item, note, (Picture("input", rgb[view]),), (*truth, *told), len(rgb))


def _numbers(workspace: Workspace, results: Artefact, item: str, view: int) -> Shown:
    return Shown(item, "numbers only: see the tables")


RESULTS: dict[str, Show] = {
    "results/reconstruction": _reconstruction,
    "results/pointcloud": _pointcloud,
    "results/views": _novel_views,
    "results/relpose": _relative_pose,
    "results/align": _relative_pose,
    "results/retrieval": _retrieval,
    "results/classification": _classification,
    "results/keypoints": _keypoints,
    "results/skeleton": _skeleton,
    "results/skeleton-noise": _numbers,
    "results/compare": _compared,
}


def results_of_run(workspace: Workspace, run: Run) -> list[Artefact]:
    """The results of a run, those that have pictures first."""
    found = []
    for folder in sorted((workspace.root / "results").glob("*")):
        for artefact in workspace.artefacts(f"results/{folder.name}"):
            try:
                if run_of(workspace, artefact).folder == run.folder:
                    found.append(artefact)
            except CrossdimError:
                continue
    order = list(RESULTS)
    return sorted(found, key=lambda a: order.index(a.stage) if a.stage in order else len(order))


def named(workspace: Workspace, target: str) -> Artefact | None:
    """The artefact STAGE/VARIANT of that name, None where there is none."""
    folder = Path(target.strip("/"))
    if len(folder.parts) < 2 or ".." in folder.parts or folder.is_absolute():
        return None
    try:
        artefact = workspace.artefact(folder.parent.as_posix(), folder.name)
    except UsageError:  # what cannot be a name is the name of nothing
        return None
    return artefact if artefact.index.items() else None
