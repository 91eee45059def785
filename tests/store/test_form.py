"""Shards that hold other arrays than the stage makes whose folder they are in are refused."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stages
from stages import depths, voxelize
from stages.catalogue import MODULES, find_stage
from stages.engine.work import Job, Work, perform
from stages.errors import CrossdimError, InputError, ItemError
from stages.geometry.mesh import Mesh
from stages.shapes import spec as shapes
from stages.stage import Arrays, ArraySpec, Stage
from stages.store.commit import commit_bytes, make_folder
from stages.store.index import load_index, verify
from stages.store.shard import Encoded, build_shard, encode_item, make_key, shard_name
from stages.store.workspace import Artefact, Workspace
from tests.store.cache import same

ITEM = "toy/a"
RES = 8


@functools.cache
def _every_stage() -> dict[str, Stage]:
    """Every stage that a module of the project holds, by that module."""
    modules = [one.name for one in pkgutil.walk_packages(stages.__path__, "stages.")]
    found = ((name, getattr(importlib.import_module(name), "STAGE", None)) for name in modules)
    return {name: one for name, one in found if isinstance(one, Stage)}


def test_every_stage_is_in_the_catalogue() -> None:
    there = _every_stage()
    assert {stage.name for stage in there.values()} == set(MODULES)
    assert {name: find_stage(name).name for name in MODULES} == {name: name for name in MODULES}  # type: ignore[union-attr]
    for stage in there.values():  # stages that share a folder, too
        assert stage.spec == find_stage(stage.name).spec  # type: ignore[union-attr]


def test_shapes_of_arrays_name_parameters() -> None:
    for stage in _every_stage().values():
        fields = {field.name for field in dataclasses.fields(stage.params)}
        for name, spec in stage.spec.items():
            assert len(spec.shape) in (0, len(spec.axes)), (stage.name, name)
            named = {length for length in spec.shape if isinstance(length, str)}
            assert named <= fields, (stage.name, name)


def put(
    root: Path,
    stage: str,
    arrays: Arrays,
    spec: Mapping[str, ArraySpec],
    params: Mapping[str, Any],
    **key: Any,
) -> Artefact:
    """An artefact of one item, its digest right: whoever makes files can make names."""
    artefact = Workspace(root).artefact(stage, "made")
    make_folder(artefact.folder)
    encoded = Encoded(ITEM, "f", encode_item(spec, arrays))
    made = {"stage": stage, "version": 1, **key}
    data = build_shard(make_key(**made, params=dict(params), seed=0, buckets=1), [encoded])
    commit_bytes(artefact.folder / shard_name(0, data), data)
    return artefact


def _grid() -> Arrays:
    return {
        "voxels": np.random.default_rng(0).random((RES,) * 3) < 0.5,
        "origin": np.full(3, -0.5, np.float32),
        "extent": np.ones(1, np.float32),
        "disagreement": np.zeros(1, np.float32),
    }


def _spec(name: str, **changed: Any) -> dict[str, ArraySpec]:
    changed = {"shape": (), **changed}
    return {**voxelize.SPEC, name: dataclasses.replace(voxelize.SPEC[name], **changed)}


PARAMS = {"res": RES, "fill": "both", "fit": "diagonal"}
FORGED: dict[str, tuple[dict[str, ArraySpec], Arrays, str]] = {
    "longer": (_spec("voxels"), {"voxels": np.ones((RES, RES, 2 * RES), bool)}, r"\(8, 8, 16\)"),
    "other type": (
        _spec("origin", dtype="float64"),
        {"origin": np.zeros(3)},
        "origin is float64 .*float32",
    ),
    "not packed": (
        _spec("voxels", dtype="uint8", packed=False),
        {"voxels": np.ones((RES,) * 3, np.uint8)},
        "voxels is uint8",
    ),
    "an axis less": (
        _spec("voxels", axes=("x", "y")),
        {"voxels": np.ones((RES, RES), bool)},
        r"\(8, 8\)",
    ),
    "of any length": (_spec("voxels", ragged=True, packed=False), {}, "of any length"),
    "one more": (
        {**voxelize.SPEC, "more": ArraySpec("float32", ("value",))},
        {"more": np.ones(1, np.float32)},
        "no array 'more'",
    ),
}


@pytest.mark.parametrize("forged", FORGED, ids=lambda name: name.replace(" ", "_"))
def test_arrays_that_the_stage_does_not_make(tmp_path: Path, forged: str) -> None:
    spec, changed, reason = FORGED[forged]
    artefact = put(tmp_path, "voxels", {**_grid(), **changed}, spec, PARAMS)
    with pytest.raises(InputError, match=reason):
        artefact.read(ITEM)
    with pytest.raises(InputError, match=reason):
        artefact.read(ITEM, ("extent",))  # whatever is asked for
    (problem,) = verify(artefact.folder).values()
    assert problem.startswith(str(artefact.folder))
    artefact.close()


def test_what_the_stage_makes_is_read(tmp_path: Path) -> None:
    artefact = put(tmp_path, "voxels", _grid(), voxelize.SPEC, PARAMS)
    assert same({"": artefact.read(ITEM)}, {"": _grid()})
    assert verify(artefact.folder) == {}
    artefact.close()


def test_parameters_that_do_not_fit_the_arrays(tmp_path: Path) -> None:
    artefact = put(tmp_path, "voxels", _grid(), voxelize.SPEC, {**PARAMS, "res": 32})
    with pytest.raises(InputError, match=r"voxels is bool \(8, 8, 8\).*bool \(32, 32, 32\)"):
        artefact.read(ITEM)


def test_a_shard_in_the_folder_of_another_stage(tmp_path: Path) -> None:
    artefact = put(tmp_path, "voxels", _grid(), voxelize.SPEC, PARAMS)
    moved = Workspace(tmp_path).artefact("views", "made")
    make_folder(moved.folder.parent)
    artefact.folder.rename(moved.folder)
    with pytest.raises(InputError, match="a shard of voxels is in the folder views"):
        moved.refresh().read(ITEM)


def test_an_older_version_says_so_when_it_differs(tmp_path: Path) -> None:
    spec, changed, reason = FORGED["other type"]
    arrays = {**_grid(), **changed}
    artefact = put(tmp_path, "voxels", arrays, spec, PARAMS, version=voxelize.VERSION - 1)
    with pytest.raises(InputError, match=reason) as caught:
        artefact.read(ITEM)
    assert caught.value.hint == "it was made by version 0; make the artefact again"


def _mesh() -> Arrays:
    plain = Mesh.plain(np.eye(4, 3, dtype=np.float32) - 0.25, np.array([[0, 1, 2], [1, 2, 3]]))
    texts = shapes.labels("train", "f", "s", "l")
    return {**plain.to_arrays(), **texts}


@pytest.mark.parametrize("name", ["vertices", "faces", "uv", "keypoints"])
def test_rows_of_any_length_are_looked_at_one_by_one(tmp_path: Path, name: str) -> None:
    old = shapes.SPEC[name]
    for change, forged in (
        ({"dtype": "int64"}, np.zeros((4, old.shape[1]), np.int64)),  # type: ignore[arg-type]
        ({}, np.zeros((4, 7), old.dtype)),
        ({"axes": ("one",)}, np.zeros(4, old.dtype)),
    ):
        spec = {**shapes.SPEC, name: dataclasses.replace(old, shape=(), **change)}
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        artefact = put(root, "shapes", {**_mesh(), name: forged}, spec, {})
        with pytest.raises(InputError, match=f"array {name} is {forged.dtype}"):
            artefact.read(ITEM)
        assert len(verify(artefact.folder)) == 1
        (shard,) = load_index(artefact.folder).shards
        job = Job.of(voxelize.STAGE, voxelize.Params(res=RES), 0)
        with pytest.raises(CrossdimError, match=f"array {name} is"):
            perform(job, Work(ITEM, "f", {"shapes": (str(artefact.folder / shard), 0)}))


@pytest.mark.parametrize(
    ("name", "forged"),
    [
        ("faces", np.array([[0, 1, 4]], np.int32)),
        ("faces", np.array([[0, 1, -1]], np.int32)),
        ("normals", np.zeros((3, 3), np.float32)),
        ("uv", np.zeros((0, 2), np.float32)),
        ("face_material", np.array([0, 1], np.int32)),
        ("face_material", np.array([0], np.int32)),
        ("material_texture", np.array([0], np.int32)),
        ("material_texture", np.array([-2], np.int32)),
        ("material_rgba", np.zeros((0, 4), np.float32)),
        ("texture_shapes", np.array([[1, 1, 3]], np.int32)),
        ("texture_shapes", np.array([[0, 1, 4]], np.int32)),
        ("texture_shapes", np.array([[-1, 1, 4]], np.int32)),
        ("texture_shapes", np.array([[1 << 30, 1 << 30, 4]], np.int32)),
    ],
)
@pytest.mark.parametrize("stage", ["stages.voxelize", "stages.render", "stages.depths"])
def test_rows_that_name_what_is_not_there_cost_the_item(
    tmp_path: Path, stage: str, name: str, forged: np.ndarray
) -> None:
    """What compiled loops would read beside an array."""
    artefact = put(tmp_path, "shapes", {**_mesh(), name: forged}, shapes.SPEC, {})
    (shard,) = load_index(artefact.folder).shards
    module = importlib.import_module(stage)
    job = Job.of(module.STAGE, module.Params(), 0)
    with pytest.raises(ItemError):
        perform(job, Work(ITEM, "f", {"shapes": (str(artefact.folder / shard), 0)}))


def test_a_stage_that_makes_another_length_than_it_says_is_refused() -> None:
    params = {"views": 8, "novel": 2, "size": 8}
    lengths = {name: [n or 1 for n in spec.lengths(params)] for name, spec in depths.SPEC.items()}
    arrays = {name: np.zeros(lengths[name], spec.dtype) for name, spec in depths.SPEC.items()}
    assert encode_item(depths.SPEC, arrays, params)
    with pytest.raises(ItemError, match=r"novel_depth has shape .* expected float32 \(3, 8, 8\)"):
        encode_item(depths.SPEC, arrays, {**params, "novel": 3})
