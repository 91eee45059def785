"""Honest files of every kind that is read, small ones, for `tests.attacks.fuzz` to damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stages.geometry.voxels import encode_binvox
from stages.skeletons import template
from stages.store.workspace import Workspace
from stages.train import checkpoint
from stages.viewpoints import fitted
from tests.engine import fake
from tests.photos import makers
from tests.shapes import layouts
from tests.shapes.import_models import BOX_OBJ, PICTURE, Glb, png, write
from tests.viewpoints import trees

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


def meshes(*names: str) -> Callable[[Path], None]:
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


def textured(folder: Path) -> None:
    write(folder / "chair/a.obj", "mtllib a.mtl\n" + BOX_OBJ.replace("f ", "usemtl x\nf ", 1))
    write(folder / "chair/a.mtl", "newmtl x\nKd 1 0 0\nd 0.5\nmap_Kd -s 1 1 1 t.png\n")
    write(folder / "chair/t.png", png(PICTURE))
    write(folder / "chair/b.obj", layouts.obj(layouts.posed("+y", "+z"), "a.mtl"))


def scene(folder: Path) -> None:
    rows = {"TEXCOORD_0": np.zeros((8, 2)), "NORMAL": np.ones((8, 3)), "COLOR_0": np.ones((8, 4))}
    file = Glb(nodes=[{"mesh": 0, "scale": [1, 2, 1], "children": [1]}, {"mesh": 0}])
    file.header["images"] = [{"bufferView": file.view(png(PICTURE)), "mimeType": "image/png"}]
    file.header["textures"] = [{"source": 0}]
    pbr = {"baseColorTexture": {"index": 0}, "baseColorFactor": [1, 0.5, 0, 1]}
    file.header["materials"] = [{"pbrMetallicRoughness": pbr, "alphaMode": "MASK"}]
    file.header["meshes"] = [{"primitives": [file.box(material=0, **rows)]}]
    write(folder / "chair/a.glb", file.glb())


def library(folder: Path) -> None:
    members = {"a/c.obj": layouts.obj(layouts.posed("+y", "+z"), "m.mtl"), "a/m.mtl": "newmtl m\n"}
    piece = {"name": "Chair", "category": "Living room", "model": "/a/c.obj", "id": "x"}
    more = {"modelRotation": "1 0 0 0 1 0 0 0 1", "width": "10", "height": "20", "depth": "30"}
    write(folder / "a.sh3f", layouts.library([piece, {**piece, **more}], members, id="lib"))


def table(folder: Path) -> None:
    layouts.model(folder / "a.off", "+z", "-y")
    head = "id,category,file,up,front,split,family,source,creator,license"
    rows = ("a,chair,a.off,+z,-y,train,f,web,me,CC0", "b,chair,a.off,+y,+z,test,,,,")
    write(folder / "models.csv", "\n".join([head, *rows, ""]))


def annotated(folder: Path) -> None:
    layouts.model(folder / "chair01.ply", "+z", "-y")
    points = {"chair01": {"tip": [0, 1, 0.5], "left": [1, 2, 3]}, "chair02": {}}
    write(folder / "keypoints3d.json", json.dumps(points))


def shapenet(folder: Path) -> None:
    layouts.shapenet_v2(folder, "03001627", "abc")
    layouts.shapenet_v1(folder, "02691156", "def")


def binvox(folder: Path) -> None:
    grid = np.random.default_rng(0).random((6, 6, 6)) < 0.5
    write(folder / "a.binvox", encode_binvox(grid, np.zeros(3), 1.0))


def view_table(folder: Path) -> None:
    trees.table(folder / "a.csv", "cup,test,a.jpg,10,20,,", "cup,,b.jpg,12,20,1,3")


def pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (40, 30, 3), np.uint8)
    for suffix, format in (("jpg", "JPEG"), ("webp", "WEBP"), ("bmp", "BMP"), ("tif", "TIFF")):
        exif = {"exif": makers.oriented(6)} if suffix == "jpg" else {}
        write(folder / f"a.{suffix}", makers.encode(colour, format, **exif))
    write(folder / "b.png", makers.encode(rng.integers(0, 65536, (30, 40), np.uint16)))
    write(folder / "c.png", makers.encode(colour))
    write(folder / "a.gif", makers.encode(colour[..., 0], "GIF"))
    write(folder / "a.ppm", makers.encode(colour, "PPM"))


def store(folder: Path) -> None:
    fake.run(folder, [*(f"toy/{n}" for n in range(4)), "toy/refuse"])


def run(folder: Path) -> None:
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


def sets(folder: Path) -> None:
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
