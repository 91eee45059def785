"""The smallest cases of what fuzzing (`tests.attacks.fuzz`) and its targets have found."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.errors import InputError, ItemError
from stages.shapes.importing import list_sources
from stages.store.index import load_index
from stages.store.shard import shard_name
from stages.store.workspace import Workspace
from stages.train import checkpoint
from stages.train.health import runs_status, verify_runs
from stages.train.records import pointer_digest
from stages.train.run import list_runs
from stages.viewpoints import fitted
from stages.viewpoints.readers import read_finegrained
from tests.shapes import layouts
from tests.shapes.import_models import PICTURE, Glb, png, read_mesh, write
from tests.store.cache import make, shards
from tests.train import toy
from tests.train.test_checkpoint import content
from tests.viewpoints import trees


def test_an_image_in_a_scene_whose_pixels_end_early(tmp_path: Path) -> None:
    data = png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for image, fine in ((data[: len(data) // 2], False), (png(PICTURE), True)):
        file = Glb(nodes=[{"mesh": 0}], textures=[{"source": 0}])
        file.header["images"] = [{"bufferView": file.view(image), "mimeType": "image/png"}]
        pbr = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
        file.header["materials"] = [pbr]
        rows: dict[str, Any] = {"TEXCOORD_0": np.zeros((8, 2)), "material": 0}
        file.header["meshes"] = [{"primitives": [file.box(**rows)]}]
        path = write(tmp_path / "a.glb", file.glb())
        if fine:
            assert len(read_mesh(path, 512)[0].textures) == 1
        else:
            with pytest.raises(ItemError, match=r"texture in the file is damaged"):
                read_mesh(path, 512)


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("name", ["POSITION", "NORMAL", "TEXCOORD_0", "COLOR_0"])
def test_numbers_of_vertices_that_are_too_few_or_many(
    tmp_path: Path, name: str, width: int
) -> None:
    file = Glb(nodes=[{"mesh": 0}], textures=[{"source": 0}])
    file.header["images"] = [{"bufferView": file.view(png(PICTURE)), "mimeType": "image/png"}]
    pbr = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
    file.header["materials"] = [pbr] if name == "TEXCOORD_0" else [{}]
    box = file.box(material=0)
    values = np.ones(8 * width).reshape((8, width) if width > 1 else 8)
    box["attributes"][name] = file.array(values)
    file.header["meshes"] = [{"primitives": [box]}]
    path = write(tmp_path / "a.glb", file.glb())
    if name == "POSITION" or (name, width) == ("TEXCOORD_0", 1):
        with pytest.raises(ItemError, match=r"no points in space|cannot be read|one point"):
            read_mesh(path, 16)
    else:  # what cannot be meant is left aside
        assert len(read_mesh(path, 16)[0].faces) == 12


def test_a_text_that_stands_for_an_image_in_a_scene(tmp_path: Path) -> None:
    """`--target scene --case 9000992`: trimesh keeps what is no texture as it is."""
    file = Glb(nodes=[{"mesh": 0}])
    file.header["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": "x"}}]
    rows: dict[str, Any] = {"TEXCOORD_0": np.zeros((8, 2)), "material": 0}
    file.header["meshes"] = [{"primitives": [file.box(**rows)]}]
    with pytest.raises(ItemError, match="texture in the file is no image"):
        read_mesh(write(tmp_path / "a.glb", file.glb()), 512)


def test_a_pickle_that_ended_numpy(tmp_path: Path) -> None:
    """`--target view-pickle --case 9000168`: what a type is told of itself lacks two values."""
    trees.finegrained(tmp_path)
    path = tmp_path / "Anno3D/StanfordCars/test_anno.pkl"
    honest = path.read_bytes()
    assert read_finegrained(path, "car")[0].viewpoint[3] == 2.5
    damaged = honest.replace(b"NNNI-1", b"NI-1")
    assert damaged != honest
    path.write_bytes(damaged)
    with pytest.raises(ItemError, match="array of structures"):
        read_finegrained(path, "car")


def test_a_member_of_an_archive_without_a_name(tmp_path: Path) -> None:
    model = layouts.obj(layouts.posed("+y", "+z"))
    piece = {"name": "Chair", "category": "x", "model": "/a.obj"}
    data = bytearray(layouts.library([piece], {"a.obj": model, "q": "nothing"}))
    entry = data.rindex(b"PK\1\2")  # of the last member, q: its name becomes extra data
    assert data[entry + 46 : entry + 47] == b"q"
    struct.pack_into("<HH", data, entry + 28, 0, 1)
    write(tmp_path / "a.sh3f", bytes(data))
    assert list(list_sources({"format": "sh3f", "path": str(tmp_path)})) == ["x/chair"]


def test_a_catalogue_of_devices(tmp_path: Path) -> None:
    """`con` can be no file on some systems, and so no name here."""
    write(tmp_path / "a.sh3f", layouts.library([{"name": "Con", "category": "nul"}], {}))
    assert list(list_sources({"format": "sh3f", "path": str(tmp_path)})) == ["x-nul/x-con"]


def test_an_index_of_chunks_that_is_damaged(tmp_path: Path) -> None:
    artefact = make(tmp_path, [f"toy/{n}" for n in range(6)])
    (path,) = shards(artefact)
    data = path.read_bytes()
    assert b"FADB" in data  # the index of the chunks of a dataset
    data = data.replace(b"FADB", b"FADX")
    path.unlink()
    (artefact.folder / "manifest.json").unlink()
    write(artefact.folder / shard_name(0, data), data)
    with pytest.raises(InputError, match="damaged"):
        load_index(artefact.folder)


@pytest.mark.parametrize("files", [7, [], {"weights": 3}, {"weights": {}, "optimizer": {}}, None])
def test_a_pointer_that_names_no_files(tmp_path: Path, files: Any) -> None:
    run = begun(tmp_path)
    path = run.checkpoints / "last.json"
    pointer = json.loads(path.read_bytes())
    pointer["files"] = files
    pointer["sha256"] = pointer_digest(pointer)
    path.write_text(json.dumps(pointer))
    with pytest.raises(InputError, match=r"last\.json"):
        checkpoint.load(run.checkpoints, "last", "toy")
    _, problems = verify_runs(Workspace(tmp_path))
    assert [name for name in problems if name.endswith("last.json")] or files == []


@pytest.mark.parametrize("name", ["../../../../secret", "/etc/passwd", "run.json"])
def test_a_pointer_to_files_elsewhere_is_not_followed(tmp_path: Path, name: str) -> None:
    run = begun(tmp_path)
    path = run.checkpoints / "last.json"
    pointer = json.loads(path.read_bytes())
    pointer["files"]["weights"]["file"] = name
    path.write_text(json.dumps(pointer))
    checked, problems = verify_runs(Workspace(tmp_path))
    assert checked == 0
    assert problems == {"runs/toy/a/checkpoints/last.json": "it is no pointer to a checkpoint"}


@pytest.mark.parametrize("pair", [[6.0] * 300, [6.0], [6.0, float("nan")], [6.0, -1.0], "ab"])
def test_a_density_that_cannot_be_sampled(tmp_path: Path, pair: Any) -> None:
    found = json.loads((Path(fitted.__file__).parent / "pascal3d.json").read_bytes())
    found["categories"] = {"car": found["categories"]["car"]}
    found["categories"]["car"]["outliers"]["inplane_deg"] = pair
    write(fitted.path_in(Workspace(tmp_path), "mine"), json.dumps(found))
    with pytest.raises(InputError, match=r"mine\.json"):
        fitted.load("mine", Workspace(tmp_path))


@pytest.mark.parametrize(
    "count", [10**400, 1e308, 2**60, -1, 0], ids=["no float", "infinite sum", "2**60", "-1", "0"]
)
def test_annotations_beyond_all_counting(tmp_path: Path, count: Any) -> None:
    """`--target sets --case 22004659`."""
    found = json.loads((Path(fitted.__file__).parent / "pascal3d.json").read_bytes())
    found["categories"] = {"car": found["categories"]["car"]}
    found["categories"]["car"]["count"][0] = count
    write(fitted.path_in(Workspace(tmp_path), "mine"), json.dumps(found))
    with pytest.raises(InputError, match=r"mine\.json (is damaged|holds a number)"):
        fitted.load("mine", Workspace(tmp_path))


RECORDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nested": lambda record: "[" * 100_000,
    "list": lambda record: [record],
    "without data": lambda record: {k: v for k, v in record.items() if k != "data"},
    "text as ids": lambda record: {**record, "data": {**record["data"], "ids": "toy/0"}},
    "number as id": lambda record: {**record, "data": {**record["data"], "ids": {"test": [7]}}},
    "params": lambda record: {**record, "params": [1]},
    "updated": lambda record: {**record, "updated": None},
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_of_a_run_that_is_none(tmp_path: Path, name: str) -> None:
    run = begun(tmp_path)
    path = run.folder / "run.json"
    changed = RECORDS[name](json.loads(path.read_bytes()))
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    with pytest.raises(InputError, match=r"run\.json"):
        list_runs(tmp_path)[0].record()
    assert [one["status"] for one in runs_status(Workspace(tmp_path))] == ["damaged"]


def begun(workspace: Path) -> Any:
    """A run with a checkpoint."""
    run = toy.new_run(workspace)
    run.folder.mkdir(parents=True)
    run.begin(toy.ToyParams(), 0)
    checkpoint.save(run.checkpoints, content(1), ["last"])
    return run
