"""What is read of files of others, for `tests.attacks.fuzz`: honest files, and who reads them.

A Target's `make` writes an honest data set into an empty folder, `read` reads it as a command would
and checks what comes out. An error that a user can read (ItemError, CrossdimError) is right; any
other exception, and an AssertionError above all, is a finding.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from crossdim_cli.config import read_config
from stages.errors import CrossdimError, ItemError
from stages.geometry.mesh import Mesh
from stages.geometry.voxels import decode_binvox
from stages.photos import backgrounds, keypoints
from stages.photos.layouts import flic, keypoint5, pascal3d
from stages.shapes import importing as shapes
from stages.skeletons import template
from stages.stage import Item, Stage
from stages.store import inspection
from stages.store.fingerprint import canonical_json, digest
from stages.store.guarded import Limits, Refused
from stages.store.index import load_index
from stages.store.manifest import read_manifest
from stages.store.reader import read_content, read_row
from stages.store.shard import encode_item
from stages.store.untrusted import open_readonly
from stages.store.workspace import Workspace
from stages.train import checkpoint, health
from stages.train.log import read_metrics
from stages.train.run import find_run, list_runs
from stages.viewpoints import fitted
from stages.viewpoints import importing as viewpoints
from tests.attacks import honest
from tests.engine import fake
from tests.photos.test_keypoints import MAKERS, WIDE
from tests.viewpoints import trees


@dataclass(frozen=True)
class Target:
    """Files of one kind, and their reader."""

    make: Callable[[Path], None]
    read: Callable[[Path], None]


class _Refusals:
    """Notes that something was refused, and goes on; `tell` raises the first of what it noted."""

    def __init__(self) -> None:
        self._first: Exception | None = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        try:
            yield
        except (ItemError, CrossdimError) as error:
            self._first = self._first or error

    def tell(self) -> None:
        if self._first is not None:
            raise self._first


def _items(
    stage: Stage, origin: Mapping[str, Any], check: Callable[[Any], None], **params: Any
) -> None:
    """List a data set and process each of its items, as the runner would."""
    assert stage.list_sources is not None
    assert stage.digest is not None
    with _in_process():
        sources = stage.list_sources(origin)
    refusals = _Refusals()
    for item, source in list(sources.items())[:20]:
        canonical_json(source)
        assert len(stage.digest(source)) == 32
        with refusals():
            one = Item(item, {}, source)
            arrays = stage.process(one, stage.params(**params), np.random.default_rng(0))
            encode_item(stage.spec, arrays)
            check(arrays)
    refusals.tell()


@contextlib.contextmanager
def _in_process() -> Iterator[None]:
    """Guarded calls without their processes: this one is guarded itself."""

    def call_each(
        function: Callable[[Any], Any], arguments: Sequence[Any], limits: Limits
    ) -> list[Any]:
        results = []
        for one in arguments:
            try:
                results.append(function(one))
            except ItemError as error:
                results.append(Refused(str(error)))
        return results

    with contextlib.ExitStack() as stack:
        for module in (flic, keypoint5, pascal3d, inspection):
            stack.enter_context(mock.patch.object(module, "call_each", call_each))
        yield


def _check_mesh(arrays: Any) -> None:
    mesh = Mesh.from_arrays(arrays)
    for name in ("vertices", "normals", "uv", "material_rgba"):
        assert np.isfinite(getattr(mesh, name)).all(), name
    assert len(mesh.faces)
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.vertices)
    size = mesh.vertices.max(0) - mesh.vertices.min(0)
    assert abs(np.linalg.norm(size) - 1) < 1e-3, size
    assert mesh.face_material.max() < len(mesh.material_rgba)
    assert mesh.material_texture.max(initial=-1) < len(mesh.textures)


def _shapes(format: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        _items(shapes.STAGE, {"format": format, "path": str(folder)}, _check_mesh)

    return read


def _read_binvox(folder: Path) -> None:
    voxels, origin, extent = decode_binvox((folder / "a.binvox").read_bytes())
    assert voxels.ndim == 3
    assert len(set(voxels.shape)) == 1
    assert np.isfinite([*origin, extent]).all()


def _viewpoints(format: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        _items(viewpoints.STAGE, {"format": format, "path": str(folder)}, lambda arrays: None)

    return read


def _keypoints(format: str) -> Target:
    def read(folder: Path) -> None:
        def check(arrays: Any) -> None:
            assert np.isfinite(arrays["keypoints"][arrays["visible"] > 0]).all()

        origin = {"kind": "keypoints", "format": format, "path": str(folder)}
        _items(keypoints.STAGE, origin, check)

    def make(folder: Path) -> None:
        MAKERS[format](folder, WIDE)

    return Target(make, read)


def _read_pictures(folder: Path) -> None:
    origin = {"kind": "backgrounds", "format": "folder", "path": str(folder)}
    _items(backgrounds.STAGE, origin, lambda arrays: None, size=64)


def _read_store(folder: Path) -> None:
    """The shards, whatever their names promise, and the manifest, its digest made right."""
    refusals = _Refusals()
    artefact = fake.artefact_of(folder)
    path = artefact.folder / "manifest.json"
    with refusals():
        load_index(artefact.folder)
    lines = path.read_bytes().split(b"\n", 2)
    if len(lines) == 3:
        lines[1] = f' "digest": "{digest(lines[2])}",'.encode()
        path.write_bytes(b"\n".join(lines))
    read_manifest(path)
    with refusals():
        load_index(artefact.folder)
    for shard in artefact.folder.glob("shard-*.h5"):
        with refusals(), _in_process():
            inspection.inspect_file(shard)
        content = read_content(shard)
        with open_readonly(shard, "shard") as file:
            for row, item in enumerate(content.ids):
                with refusals():
                    arrays = read_row(file, row, shard, (), item)
                    assert sum(array.nbytes for array in arrays.values()) < 1 << 28
    refusals.tell()


def _read_run(folder: Path) -> None:
    """A run as status, verify and evaluation look at it; sha256 made right, so that they pass."""
    from tests.train import toy

    refusals = _Refusals()
    _forge(next(folder.rglob("checkpoints")))
    for one in list_runs(folder):
        with refusals():
            one.record()
        with refusals():
            one.best()
    health.runs_status(Workspace(folder))
    health.verify_runs(Workspace(folder))
    with refusals():
        find_run(folder, "toy", category="toy")
    for path in folder.rglob("metrics.csv"):
        with refusals():
            read_metrics(path)
    for which in ("last", "best"):
        with refusals():
            found = checkpoint.load(next(folder.rglob("checkpoints")), which, "toy")
            model = toy.Toy().build(toy.ToyParams())
            checkpoint.restore_model(model, found)
            optimizer = toy.Toy().optimizer(model, toy.ToyParams())
            checkpoint.restore_optimizer(optimizer, found)
            assert all(torch.isfinite(v).all() for v in model.state_dict().values())
    refusals.tell()


def _forge(folder: Path) -> None:
    for path in folder.glob("*.json"):
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, OSError):
            pointer = json.loads(path.read_bytes())
            for one in pointer["files"].values():
                data = (folder / one["file"]).read_bytes()
                one["sha256"] = hashlib.sha256(data).hexdigest()
            pointer.pop("sha256", None)
            pointer["sha256"] = hashlib.sha256(canonical_json(pointer).encode()).hexdigest()
            path.write_text(json.dumps(pointer))


def _read_sets(folder: Path) -> None:
    refusals = _Refusals()
    workspace = Workspace(folder)
    with refusals():
        read_config(folder / "crossdim.toml")
    with refusals():
        found = fitted.load("mine", workspace)
        rng = np.random.default_rng(0)
        for name in found["categories"]:
            views = fitted.density_of(found["categories"][name]).sample(5, rng)
            assert np.isfinite(views[:, :3]).all()
    with refusals():
        template.load("chair", workspace)
    refusals.tell()


TARGETS: dict[str, Target] = {
    "obj": Target(honest.textured, _shapes("folder")),
    "off": Target(honest.meshes("a.off"), _shapes("folder")),
    "ply": Target(honest.meshes("a.ply"), _shapes("folder")),
    "stl": Target(honest.meshes("a.stl"), _shapes("folder")),
    "glb": Target(honest.meshes("a.glb"), _shapes("folder")),
    "gltf": Target(honest.meshes("a.gltf"), _shapes("folder")),
    "scene": Target(honest.scene, _shapes("folder")),
    "sh3f": Target(honest.library, _shapes("sh3f")),
    "manifest": Target(honest.table, _shapes("manifest")),
    "annotated": Target(honest.annotated, _shapes("annotated")),
    "shapenet": Target(honest.shapenet, _shapes("shapenet")),
    "binvox": Target(honest.binvox, _read_binvox),
    "view-pascal3d": Target(trees.pascal3d, _viewpoints("pascal3d")),  # type: ignore[arg-type]
    "view-pickle": Target(trees.finegrained, _viewpoints("finegrained")),  # type: ignore[arg-type]
    "view-table": Target(honest.view_table, _viewpoints("csv")),
    **{f"keypoints-{name}": _keypoints(name) for name in MAKERS},
    "pictures": Target(honest.pictures, _read_pictures),
    "store": Target(honest.store, _read_store),
    "run": Target(honest.run, _read_run),
    "sets": Target(honest.sets, _read_sets),
}


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a data set by their paths in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.stat().st_size < 1 << 19
    }
