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
from stages.geometry.voxels import decode_binvox, encode_binvox
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
from tests.engine import fake
from tests.photos import makers
from tests.photos.test_keypoints import MAKERS, WIDE
from tests.shapes import layouts
from tests.shapes.import_models import BOX_OBJ, PICTURE, Glb, png, write
from tests.viewpoints import trees

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


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


def _meshes(*names: str) -> Callable[[Path], None]:
    """A folder of a category with the model in these formats, and a small real one if there is."""

    def make(folder: Path) -> None:
        for name in names:
            layouts.model(folder / "chair" / name, "+y", "+z")
            found = sorted(
                REAL.rglob(f"*{Path(name).suffix}"), key=lambda path: path.stat().st_size
            )
            if found:
                write(folder / "chair" / f"real-{name}", found[0].read_bytes())

    return make


def _textured(folder: Path) -> None:
    write(folder / "chair/a.obj", "mtllib a.mtl\n" + BOX_OBJ.replace("f ", "usemtl x\nf ", 1))
    write(folder / "chair/a.mtl", "newmtl x\nKd 1 0 0\nd 0.5\nmap_Kd -s 1 1 1 t.png\n")
    write(folder / "chair/t.png", png(PICTURE))
    write(folder / "chair/b.obj", layouts.obj(layouts.posed("+y", "+z"), "a.mtl"))


def _scene(folder: Path) -> None:
    rows = {"TEXCOORD_0": np.zeros((8, 2)), "NORMAL": np.ones((8, 3)), "COLOR_0": np.ones((8, 4))}
    file = Glb(nodes=[{"mesh": 0, "scale": [1, 2, 1], "children": [1]}, {"mesh": 0}])
    file.header["images"] = [{"bufferView": file.view(png(PICTURE)), "mimeType": "image/png"}]
    file.header["textures"] = [{"source": 0}]
    pbr = {"baseColorTexture": {"index": 0}, "baseColorFactor": [1, 0.5, 0, 1]}
    file.header["materials"] = [{"pbrMetallicRoughness": pbr, "alphaMode": "MASK"}]
    file.header["meshes"] = [{"primitives": [file.box(material=0, **rows)]}]
    write(folder / "chair/a.glb", file.glb())


def _library(folder: Path) -> None:
    members = {"a/c.obj": layouts.obj(layouts.posed("+y", "+z"), "m.mtl"), "a/m.mtl": "newmtl m\n"}
    piece = {"name": "Chair", "category": "Living room", "model": "/a/c.obj", "id": "x"}
    more = {"modelRotation": "1 0 0 0 1 0 0 0 1", "width": "10", "height": "20", "depth": "30"}
    write(folder / "a.sh3f", layouts.library([piece, {**piece, **more}], members, id="lib"))


def _table(folder: Path) -> None:
    layouts.model(folder / "a.off", "+z", "-y")
    head = "id,category,file,up,front,split,family,source,creator,license"
    rows = ("a,chair,a.off,+z,-y,train,f,web,me,CC0", "b,chair,a.off,+y,+z,test,,,,")
    write(folder / "models.csv", "\n".join([head, *rows, ""]))


def _annotated(folder: Path) -> None:
    layouts.model(folder / "chair01.ply", "+z", "-y")
    points = {"chair01": {"tip": [0, 1, 0.5], "left": [1, 2, 3]}, "chair02": {}}
    write(folder / "keypoints3d.json", json.dumps(points))


def _shapenet(folder: Path) -> None:
    layouts.shapenet_v2(folder, "03001627", "abc")
    layouts.shapenet_v1(folder, "02691156", "def")


def _binvox(folder: Path) -> None:
    grid = np.random.default_rng(0).random((6, 6, 6)) < 0.5
    write(folder / "a.binvox", encode_binvox(grid, np.zeros(3), 1.0))


def _read_binvox(folder: Path) -> None:
    voxels, origin, extent = decode_binvox((folder / "a.binvox").read_bytes())
    assert voxels.ndim == 3
    assert len(set(voxels.shape)) == 1
    assert np.isfinite([*origin, extent]).all()


def _viewpoints(format: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        _items(viewpoints.STAGE, {"format": format, "path": str(folder)}, lambda arrays: None)

    return read


def _view_table(folder: Path) -> None:
    trees.table(folder / "a.csv", "cup,test,a.jpg,10,20,,", "cup,,b.jpg,12,20,1,3")


def _keypoints(format: str) -> Target:
    def read(folder: Path) -> None:
        def check(arrays: Any) -> None:
            assert np.isfinite(arrays["keypoints"][arrays["visible"] > 0]).all()

        origin = {"kind": "keypoints", "format": format, "path": str(folder)}
        _items(keypoints.STAGE, origin, check)

    def make(folder: Path) -> None:
        MAKERS[format](folder, WIDE)

    return Target(make, read)


def _pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (40, 30, 3), np.uint8)
    for suffix, format in (("jpg", "JPEG"), ("webp", "WEBP"), ("bmp", "BMP"), ("tif", "TIFF")):
        exif = {"exif": makers.oriented(6)} if suffix == "jpg" else {}
        write(folder / f"a.{suffix}", makers.encode(colour, format, **exif))
    write(folder / "b.png", makers.encode(rng.integers(0, 65536, (30, 40), np.uint16)))
    write(folder / "c.png", makers.encode(colour))
    write(folder / "a.gif", makers.encode(colour[..., 0], "GIF"))
    write(folder / "a.ppm", makers.encode(colour, "PPM"))


def _read_pictures(folder: Path) -> None:
    origin = {"kind": "backgrounds", "format": "folder", "path": str(folder)}
    _items(backgrounds.STAGE, origin, lambda arrays: None, size=64)


def _store(folder: Path) -> None:
    fake.run(folder, [*(f"toy/{n}" for n in range(4)), "toy/refuse"])


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


def _run(folder: Path) -> None:
    from tests.train import toy

    run = toy.new_run(folder, "run", ("toy",))
    run.folder.mkdir(parents=True)
    run.begin(toy.ToyParams(), 0)
    run.mark("finished")
    write(run.metrics, "step,loss,seconds\n1,0.5,1.0\n2,0.25,2.0\n")
    model = toy.Toy().build(toy.ToyParams())
    optimizer = toy.Toy().optimizer(model, toy.ToyParams())
    sum(value.sum() for value in model.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    weights = checkpoint.snapshot_weights(model)
    state = checkpoint.snapshot_optimizer(optimizer)
    made = checkpoint.Checkpoint("toy", {"batch": 8}, 0, "f", 3, {}, weights, state)
    checkpoint.save(run.checkpoints, made, ("last", "best"))


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


def _sets(folder: Path) -> None:
    workspace = Workspace(folder)
    path = fitted.path_in(workspace, "mine")
    one = Path(fitted.__file__).with_name("pascal3d.json")
    found = json.loads(one.read_bytes())
    found["categories"] = {
        name: {k: v[:5] if isinstance(v, list) else v for k, v in table.items()}
        for name, table in list(found["categories"].items())[:1]
    }
    write(path, json.dumps(found))
    shipped = Path(template.__file__).parent / "templates" / "chair.json"
    write(template.path_in(workspace, "chair"), shipped.read_bytes())
    write(folder / "crossdim.toml", "[voxelize]\nres = 16\nfill = 'solid'\n")


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
    "obj": Target(_textured, _shapes("folder")),
    "off": Target(_meshes("a.off"), _shapes("folder")),
    "ply": Target(_meshes("a.ply"), _shapes("folder")),
    "stl": Target(_meshes("a.stl"), _shapes("folder")),
    "glb": Target(_meshes("a.glb"), _shapes("folder")),
    "gltf": Target(_meshes("a.gltf"), _shapes("folder")),
    "scene": Target(_scene, _shapes("folder")),
    "sh3f": Target(_library, _shapes("sh3f")),
    "manifest": Target(_table, _shapes("manifest")),
    "annotated": Target(_annotated, _shapes("annotated")),
    "shapenet": Target(_shapenet, _shapes("shapenet")),
    "binvox": Target(_binvox, _read_binvox),
    "view-pascal3d": Target(trees.pascal3d, _viewpoints("pascal3d")),  # type: ignore[arg-type]
    "view-pickle": Target(trees.finegrained, _viewpoints("finegrained")),  # type: ignore[arg-type]
    "view-table": Target(_view_table, _viewpoints("csv")),
    **{f"keypoints-{name}": _keypoints(name) for name in MAKERS},
    "pictures": Target(_pictures, _read_pictures),
    "store": Target(_store, _read_store),
    "run": Target(_run, _read_run),
    "sets": Target(_sets, _read_sets),
}


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a data set by their paths in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.stat().st_size < 1 << 19
    }
