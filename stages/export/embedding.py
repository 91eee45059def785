"""What an equivariant run makes of pictures: its maps, and the poses that follow from them.

Like figures 4, 9 and 10 of the equivariant paper.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import numpy as np

from stages.errors import InputError
from stages.evaluate.answers import embed_shapes, network, pictures, say
from stages.export.choose import cached_mesh
from stages.export.pictures import TILE, in_turn, sheet_png
from stages.export.synthesis import coloured, spread
from stages.geometry.cameras import viewpoints_of
from stages.geometry.mesh import Mesh
from stages.raycast import cast
from stages.render import Params as RenderParams
from stages.render.views import render_views
from stages.stage import params_from_json
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

CHANNELS = 3
_MAPS = ("{}", "{}, turned", "{} of the other", "{} of its mesh")
EMBEDDING = (
    "input",
    *(what.format(f"channel {n + 1}") for what in _MAPS for n in range(CHANNELS)),
    "the other view",
)
TITLES = {"relpose": "relative pose", "align": "alignment with meshes"}
ALIGNMENT = ("first", "second", "second, as told", "second, in truth")


def embedding_sheet(
    workspace: Workspace, run: Run, views: Artefact, shapes: int, device: str
) -> bytes:
    """PNG of test shapes, one a row, in two views that are far apart: EMBEDDING.

    The channels of the first view, the same turned by the true rotation to the second, those of the
    second, and what they should be: the frozen network's of the mesh, as the second camera sees it.
    Maps show the colatitude from the optical axis from top to bottom, the longitude from left to
    right, red above and blue below 0, each channel in one scale; channels are those that tell most.
    """
    trained = network(str(run.folder), run.best()["sha256"], device)
    rows = []
    for item in _test_shapes(run, views, shapes):
        arrays = views.read(item, ("rgb", "extrinsics"))
        rotation = arrays["extrinsics"][:, :, :3].astype(np.float64)
        first, second = chosen = spread(rotation, 1)
        told = say(trained, pictures(arrays["rgb"][chosen]), device)
        seen = cast(_mesh(workspace, item), matrix=rotation[second])
        target = embed_shapes(trained, seen[None], device)
        turned = _turned(told[:1], rotation[second] @ rotation[first].T)
        maps = [part.numpy() for part in (told[0], turned[0], told[1], target[0])]
        telling = np.argsort(-target[0].var((1, 2)).numpy(), kind="stable")[:CHANNELS]
        most = np.abs(np.stack(maps)).max((0, 2, 3))
        tiles = [coloured(part[c], most[c]) for part in maps for c in telling]
        label = f"{item}\nview {first} to view {second}"
        rows.append((label, [arrays["rgb"][first], *tiles, arrays["rgb"][second]]))
    return sheet_png(EMBEDDING, rows)


def _test_shapes(run: Run, views: Artefact, count: int) -> list[str]:
    """Test shapes with two views or more, in turn from the categories."""
    there = views.index.items()
    test = [item for item in sorted(run.record()["data"]["ids"]["test"]) if item in there]
    if not test or len(views.read(test[0], ("extrinsics",))["extrinsics"]) < 2:
        raise InputError(
            f"{views.name} does not show test shapes of {run.name} from two sides",
            "run: crossdim render --preset equivariant-3dof-test",
        )
    return in_turn(test, count)


def _turned(maps: Any, rotation: np.ndarray) -> Any:
    """Maps (1, C, t, t) turned by (3, 3), in their coefficients."""
    import torch

    from stages.sphere.rotation import rotate_coefficients
    from stages.sphere.transform import inverse_sht, sht
    from stages.systems.spherical_cnn.model import GRID

    moved = rotate_coefficients(sht(maps, GRID), torch.from_numpy(rotation).to(maps))
    return inverse_sht(moved, maps.shape[-1], GRID)


def alignment_sheet(workspace: Workspace, results: Artefact, base: str, count: int) -> bytes:
    """PNG of pairs of views, one a row, from results of relative pose on views: ALIGNMENT.

    The second shape as the first camera sees it when it is turned by the rotation that was told (by
    the best method), and by the true one. base: "instance" for two views of a shape, "category" for
    those of two shapes. In turn from the categories; drawn from the cache, without the network.
    """
    views, pairs = pairs_of(workspace, results, base, count)
    return sheet_png(ALIGNMENT, [_pair_row(workspace, views, item, told) for item, told in pairs])


def pairs_of(
    workspace: Workspace, results: Artefact, base: str, count: int
) -> tuple[Artefact, list[tuple[str, Told]]]:
    """The pictures that results of poses are of, and `count` of their pairs, by first shape.

    In turn from the categories. Raises InputError when there are none.
    """
    pictured = params_of(results.index.key)["inputs"][0] if results.index.key else "views/"
    stage, _, variant = pictured.partition(" ")[0].partition("/")
    pictures = workspace.artefact(stage, variant)
    names = tuple(f"{base}_{what}" for what in Told._fields)
    chosen: list[tuple[str, Told]] = []
    everything = sorted(results.index.items())
    for item in in_turn(everything, len(everything)):
        found = results.read(item, names)
        pairs = len(found[names[0]])
        if pairs and len(chosen) < count:
            number = len(chosen) % pairs
            chosen.append((item, Told(*(found[name][number] for name in names))))
    if not chosen:
        raise InputError(f"{results.name} has no pairs of that kind", "choose the other --pairs")
    return pictures, chosen


def choose_results(
    workspace: Workspace,
    run: Run,
    name: str | None,
    protocol: str = "relpose",
    of: Literal["views", "keypoints"] = "views",
) -> Artefact:
    """The results of a run on the views (or photos) of that name, or on the first ones.

    Where there are some of averaged embeddings as well, those of the most turns. Raises InputError
    with the command that makes them where there are none.
    """
    there: dict[str, Artefact] = {}
    turns: dict[str, int] = {}
    for artefact in workspace.artefacts(f"results/{protocol}"):
        params = params_of(artefact.index.key) if artefact.index.key else {}
        stage, _, variant = params.get("inputs", ("",))[0].partition(" ")[0].partition("/")
        averaged = params.get("turns", 0)
        mine = params.get("run") == f"{run.system}-{run.name}" and stage == of
        if mine and averaged >= turns.get(variant, 0):
            there[variant], turns[variant] = artefact, averaged
    chosen = there.get(name) if name else next(iter(there.values()), None)
    if chosen is None:
        on = f" on {of}/{name}" if name else ""
        option = "--views" if of == "views" else "--photos"
        raise InputError(
            f"run {run.name} has no results of {TITLES[protocol]}{on}",
            f"run: crossdim eval {protocol} --system {run.system} --run {run.name}"
            + (f" {option} {name}" if name else ""),
        )
    return chosen


class Told(NamedTuple):
    """One pair of a result, as in `stages.evaluate.angles`."""

    view: Any
    shape: Any
    other: Any
    told: Any  # (M, 3, 3)
    truth: Any  # (3, 3)
    error_deg: Any  # (M,)


def _pair_row(
    workspace: Workspace, views: Artefact, item: str, pair: Told
) -> tuple[str, list[np.ndarray]]:
    shape = bytes(pair.shape).decode()
    mine = views.read(item, ("rgb",))["rgb"][pair.view]
    other = views.read(shape, ("rgb", "extrinsics", "viewpoint"))
    rotation = other["extrinsics"][pair.other, :, :3].astype(np.float64)
    turns = np.stack([pair.told[0], pair.truth]).astype(np.float64)
    seen = viewpoints_of(turns @ rotation, float(other["viewpoint"][pair.other, 3]))
    drawn = render_views(_mesh(workspace, shape), seen, as_drawn(views))["rgb"]
    label = f"{item}\nand {shape.replace('/', '/' + chr(10), 1)}\n{pair.error_deg[0]:.0f}° off"
    return label, [mine, other["rgb"][pair.other], *drawn]


def as_drawn(views: Artefact) -> RenderParams:
    """The lens and the light of a set of views, in the size of a sheet, on one grey."""
    known = params_of(views.index.key) if views.index.key else {}
    params = params_from_json(RenderParams, known)
    return dataclasses.replace(params, size=TILE, background="grey", backend="numba")


def _mesh(workspace: Workspace, item: str) -> Mesh:
    """A cached shape in the canonical frame."""
    return cached_mesh(workspace, item)[1]
