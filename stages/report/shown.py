"""One item of an artefact as people see it: pictures, solids, and a line of what is known of it.

Data stages are here, results of protocols in `stages.report.answers`. The report, the static page
and the browser of `crossdim view` all show what these functions give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stages.errors import CrossdimError, InputError
from stages.geometry.mesh import Mesh
from stages.report import solids
from stages.report.solids import Solid
from stages.stage import Arrays
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace


@dataclass(frozen=True)
class Picture:
    """(H, W, 3) uint8 pixels and what they show."""

    label: str
    pixels: np.ndarray


@dataclass(frozen=True)
class Shown:
    """What is to be seen of one item, from one of its `views`."""

    title: str
    note: str = ""
    pictures: tuple[Picture, ...] = ()
    solids: tuple[Solid, ...] = ()
    views: int = 1


Show = Callable[[Workspace, Artefact, str, int], Shown]


def find_shape(workspace: Workspace, item: str) -> Mesh | None:
    """The cached shape of that id in the canonical frame, None where it is not there."""
    for artefact in workspace.artefacts("shapes"):
        if item in artefact.index.items():
            try:
                return Mesh.from_arrays(artefact.read(item))
            except CrossdimError:  # damaged: the status says so, the rest can be seen all the same
                return None
    return None


def shape_solid(workspace: Workspace, item: str, label: str = "the shape") -> tuple[Solid, ...]:
    """The solid of a cached shape, nothing where it is not there."""
    mesh = find_shape(workspace, item)
    return () if mesh is None else (solids.from_mesh(label, mesh),)


def heat(values: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 picture of numbers from 0 (dark) to the largest (light); 0 is black."""
    from matplotlib import colormaps

    values = np.nan_to_num(np.asarray(values, np.float64))
    top = values.max(initial=0.0)
    rgb = colormaps["viridis"](values / top if top > 0 else values)[..., :3]
    return (rgb * (values > 0)[..., None] * 255).round().astype(np.uint8)


def text_of(value: object) -> str:
    """A fixed-length string of the cache as text."""
    if isinstance(value, np.ndarray):
        value = value.item() if value.ndim == 0 else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _shape(workspace: Workspace, artefact: Artefact, item: str, view: int) -> Shown:
    arrays = artefact.read(item)
    mesh = Mesh.from_arrays(arrays)
    facts = [f"{len(mesh.faces)} faces"]
    facts += [
        f"{name} {text}"
        for name in ("split", "family", "source", "licence")
        if name in arrays and (text := text_of(arrays[name]))
    ]
    return Shown(item, ", ".join(facts), (), (solids.from_mesh("the shape", mesh),))


def _voxels(workspace: Workspace, artefact: Artefact, item: str, view: int) -> Shown:
    arrays = artefact.read(item, ("voxels", "origin", "extent"))
    filled = arrays["voxels"]
    extent = float(arrays["extent"].reshape(-1)[0])
    grid = solids.from_voxels("voxels", filled, arrays["origin"], extent)
    note = f"{len(filled)}^3 cells, {int(filled.sum())} filled"
    return Shown(item, note, (), (grid, *shape_solid(workspace, item)))


def _views(workspace: Workspace, artefact: Artefact, item: str, view: int) -> Shown:
    arrays = artefact.read(item, ("rgb", "viewpoint"))
    rgb, viewpoint = arrays["rgb"], arrays["viewpoint"]
    view = min(view, len(rgb) - 1)
    azimuth, elevation, inplane, distance = viewpoint[view]
    note = (
        f"view {view} of {len(rgb)}: azimuth {azimuth:.0f}°, elevation {elevation:.0f}°, "
        f"in-plane {inplane:.0f}°, distance {distance:.2f}"
    )
    chosen = _around(view, len(rgb))
    pictures = tuple(Picture(f"view {n}", rgb[n]) for n in chosen)
    return Shown(item, note, pictures, shape_solid(workspace, item), len(rgb))


def _around(first: int, count: int, most: int = 4) -> list[int]:
    """The view that is asked for, and others spread over all."""
    most = min(most, count)
    return [(first + n * count // most) % count for n in range(most)]


def _depths(workspace: Workspace, artefact: Artefact, item: str, view: int) -> Shown:
    from stages.evaluate.cloud_baselines import true_cloud

    arrays = artefact.read(item, ("depth", "extrinsics"))
    depth = arrays["depth"]
    pictures = tuple(Picture(f"depth {n}", heat(depth[n])) for n in range(min(4, len(depth))))
    cloud = solids.from_points("cloud of all depth maps", true_cloud(arrays), solids.TRUE)
    note = f"{len(depth)} depth maps of {depth.shape[-1]} pixels, {len(cloud.vertices)} points"
    return Shown(item, note, pictures, (cloud, *shape_solid(workspace, item)))


def _spheres(workspace: Workspace, artefact: Artefact, item: str, view: int) -> Shown:
    arrays = artefact.read(item, ("map",))["map"]  # (P, C, n, n)
    view = min(view, len(arrays) - 1)
    lengths = arrays[view, 0]
    grid = str(params_of(artefact.index.key).get("grid", "midpoint")) if artefact.index.key else ""
    star = solids.from_map("the map as a surface", lengths, grid=grid or "midpoint")
    pictures = tuple(Picture(f"channel {c}", heat(one)) for c, one in enumerate(arrays[view]))
    note = f"pose {view} of {len(arrays)}: ray lengths, top row +z, from +x to the right"
    return Shown(item, note, pictures, (star, *shape_solid(workspace, item)), len(arrays))


def _landmarks(workspace: Workspace, artefact: Artefact, item: str, view: int) -> Shown:
    arrays = artefact.read(item, ("keypoints", "visible", "keypoint_names"))
    view = min(view, len(arrays["keypoints"]) - 1)
    pixels = views_of(workspace, artefact).read(item, ("rgb",))["rgb"][view]
    marked = dotted(pixels, arrays["keypoints"][view], arrays["visible"][view].astype(bool))
    names = ", ".join(text_of(name) for name in arrays["keypoint_names"])
    note = f"filled: visible, hollow: hidden. {names}"
    pictures = (Picture(f"view {view}", pixels), Picture("keypoints", marked))
    return Shown(item, note, pictures, shape_solid(workspace, item), len(arrays["keypoints"]))


def _photo(workspace: Workspace, artefact: Artefact, item: str, view: int) -> Shown:
    arrays = artefact.read(item)
    rgb = arrays["rgb"]
    pictures = [Picture("picture", rgb)]
    if "keypoints" in arrays and len(arrays["keypoints"]):
        marked = dotted(rgb, arrays["keypoints"], arrays["visible"].astype(bool))
        pictures.append(Picture("keypoints", marked))
    return Shown(item, f"{rgb.shape[1]} x {rgb.shape[0]} pixels", tuple(pictures))


def _skeletons(workspace: Workspace, artefact: Artefact, item: str, view: int) -> Shown:
    from stages.skeletons.template import TO_CANONICAL, load
    from stages.store.workspace import category_of

    points = artefact.read(item, ("points",))["points"]  # (B, N, 3) pixels, turned
    view = min(view, len(points) - 1)
    template = load(category_of(item), workspace)
    placed = points[view] @ TO_CANONICAL.T
    placed = (placed - placed.mean(0)) / max(float(np.ptp(placed, axis=0).max()), 1e-9)
    stick = solids.from_sticks("skeleton, as it is seen", placed, template.edges)
    return Shown(item, f"skeleton {view} of {len(points)}", (), (stick,), len(points))


def views_of(workspace: Workspace, marks: Artefact) -> Artefact:
    """The views that landmarks are in: those that are named, or the only ones there are."""
    name = str(params_of(marks.index.key).get("views", "")) if marks.index.key else ""
    there = [a for a in workspace.artefacts("views") if name in ("", a.variant)]
    if len(there) != 1:
        raise InputError(
            f"the views of {marks.name} are not there, or not alone", "crossdim status"
        )
    return there[0]


def dotted(rgb: np.ndarray, points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The picture with a dot at each of (N, 2) pixels: filled where it is seen, else hollow."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    radius = max(1.5, rgb.shape[0] / 60)
    for (x, y), filled in zip(np.asarray(points, float), seen):
        if np.isfinite([x, y]).all():
            box = [x - radius, y - radius, x + radius, y + radius]
            draw.ellipse(box, fill=solids.TOLD if filled else None, outline=(0, 0, 0))
    return np.asarray(image)


def _anything(workspace: Workspace, artefact: Artefact, item: str, view: int) -> Shown:
    """Names and shapes of the arrays, of a stage that nothing better is known of."""
    arrays: Arrays = artefact.read(item)
    facts = [f"{name} {'x'.join(map(str, a.shape)) or 'one'}" for name, a in arrays.items()]
    return Shown(item, ", ".join(facts))


DATA: dict[str, Show] = {
    "shapes": _shape,
    "voxels": _voxels,
    "views": _views,
    "depths": _depths,
    "spheres": _spheres,
    "landmarks": _landmarks,
    "keypoints": _photo,
    "backgrounds": _photo,
    "skeletons": _skeletons,
}


def show(workspace: Workspace, artefact: Artefact, item: str, view: int = 0) -> Shown:
    """What is to be seen of an item; InputError when it or what it leans on cannot be read."""
    from stages.report.answers import RESULTS

    kind = {**DATA, **RESULTS}.get(artefact.stage, _anything)
    return kind(workspace, artefact, item, view)
