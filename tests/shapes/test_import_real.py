"""Real models: every format of the open models, beside another reader, and two hostile files."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import trimesh

from stages.engine.sources import with_digests
from stages.errors import ItemError
from stages.geometry.mesh import Mesh
from stages.shapes.importing import STAGE, Params, list_sources, process
from stages.stage import Arrays, Item
from stages.store.shard import encode_item
from tests.shapes.import_models import read_mesh, write
from tests.shapes.layouts import library, zipped

# Of each category and format some: textured and plain, one with dead texture paths (cc-0-bed1).
CHOSEN = (
    "airplane/747-744",
    "airplane/f16",
    "airplane/c172-c172p",
    "car/torcs-155-dtm",
    "car/scopia-van",
    "chair/cc-0-oakchair",
    "chair/scopia-chair",
    "sofa/cc-0-couch",
    "sofa/katorlegaz-mid-century-sofa",
    "table/scopia-round-table",
    "table/cc-by-biurko3",
    "bed/cc-0-bed1",
    "bed/cc-by-juniorbed",
)


@pytest.fixture(scope="module")
def sources(shared_data: Path) -> dict[str, dict]:
    return list_sources({"format": "manifest", "path": str(shared_data / "openmodels")})


@pytest.fixture(scope="module")
def imported(sources: dict[str, dict]) -> dict[str, Arrays]:
    rng = np.random.default_rng(0)
    return {i: process(Item(i, {}, sources[i]), Params(), rng) for i in CHOSEN}


def test_the_whole_manifest(sources: dict[str, dict]) -> None:
    assert len(sources) == 213
    counts = {c: sum(i.startswith(f"{c}/") for i in sources) for c in ("airplane", "car", "bed")}
    assert counts == {"airplane": 93, "car": 20, "bed": 11}
    digests = with_digests(STAGE, {i: sources[i] for i in CHOSEN})
    assert len({s["digest"] for s in digests.values()}) == len(CHOSEN)


def test_shapes_are_canonical_and_fit_the_spec(imported: dict[str, Arrays]) -> None:
    for item, arrays in imported.items():
        assert encode_item(STAGE.spec, arrays)
        mesh = Mesh.from_arrays(arrays)
        low, high = mesh.bounds().astype(float)
        assert np.abs(low + high).max() < 1e-6
        assert np.linalg.norm(high - low) == pytest.approx(1, abs=1e-6)
        assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(
            np.ones(len(mesh.normals)), abs=1e-5
        )
        assert len(mesh.faces) > 50, item
        assert arrays["split"] in (b"train", b"test")


def half(mesh: Mesh, axis: int, sign: int, share: float = 0.25) -> np.ndarray:
    """Points of the outer part of a mesh along an axis, spread over its faces by area."""
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    points, _ = trimesh.sample.sample_surface(shape, 4000, seed=0)
    low, high = mesh.bounds()[:, axis]
    edge = high - share * (high - low) if sign > 0 else low + share * (high - low)
    return points[sign * points[:, axis] > sign * edge]


def test_up_and_front_are_where_they_should_be(imported: dict[str, Arrays]) -> None:
    meshes = {i: Mesh.from_arrays(a) for i, a in imported.items()}
    for item in ("airplane/747-744", "airplane/f16", "airplane/c172-c172p"):
        # the fin stands up at the back, higher than a propeller in front
        tail, nose = half(meshes[item], 1, 1), half(meshes[item], 1, -1)
        assert tail[:, 2].max() > nose[:, 2].max() + 0.02, item
    for item in ("chair/cc-0-oakchair", "chair/scopia-chair", "sofa/cc-0-couch"):
        # the back rest is up and behind: the upper part lies behind the lower one
        top, bottom = half(meshes[item], 2, 1), half(meshes[item], 2, -1)
        assert top[:, 1].mean() > bottom[:, 1].mean() + 0.05, item
    # the bonnet of a car is lower than its roof, the boot is not as long
    van = meshes["car/scopia-van"]
    assert half(van, 1, -1, 0.15)[:, 2].max() < half(van, 1, 1, 0.15)[:, 2].max() - 0.05
    # left and right alike
    for item in ("airplane/747-744", "car/torcs-155-dtm", "bed/cc-by-juniorbed"):
        size = np.diff(meshes[item].bounds(), axis=0)[0]
        assert abs(half(meshes[item], 1, -1)[:, 0].mean()) < 0.05 * size[0], item


def surface(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Of a surface, in numbers that do not depend on order or cutting: area and its moments."""
    corners = np.asarray(vertices, float)[faces]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    middle = corners.mean(1)
    return np.concatenate([[area.sum()], area @ middle, area @ middle**2])


@pytest.mark.parametrize("item", CHOSEN)
def test_geometry_agrees_with_trimesh(sources: dict[str, dict], item: str) -> None:
    path = Path(sources[item]["root"]) / sources[item]["path"]
    mesh, _ = read_mesh(path, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trimesh's own, about images
        other = trimesh.load_scene(path, process=False).to_mesh()
    used = other.vertices[np.unique(other.faces)]
    low, high = used.min(0), used.max(0)
    vertices = (other.vertices - (low + high) / 2) / np.linalg.norm(high - low)
    # float32 sums over up to 10^5 faces; faces without an area are left out here
    assert surface(mesh.vertices, mesh.faces) == pytest.approx(
        surface(vertices, other.faces), abs=1e-4
    )


def test_textures_and_dead_paths(imported: dict[str, Arrays]) -> None:
    oak = Mesh.from_arrays(imported["chair/cc-0-oakchair"])
    assert oak.textures
    brown = np.concatenate([t.reshape(-1, 4) for t in oak.textures]).mean(0)
    assert brown[0] > brown[1] > brown[2]
    assert max(max(t.shape[:2]) for t in oak.textures) <= 512
    bed = imported["bed/cc-0-bed1"]
    assert any(n.startswith(b"not found: C:/Documents") for n in bed["notes"])
    assert len(bed["material_rgba"]) > 1


def test_a_furniture_library_of_real_models(
    sources: dict[str, dict], imported: dict[str, Arrays], tmp_path: Path
) -> None:
    # half of them as an OBJ with its files beside it, half as a zip of these
    names = [i for i in CHOSEN if "Sweet Home" in sources[i]["source"]]
    pieces: list[dict[str, str]] = []
    members: dict[str, bytes | str] = {}
    for number, item in enumerate(names):
        mesh = Path(sources[item]["root"]) / sources[item]["path"]
        files = {f.name: f.read_bytes() for f in mesh.parent.iterdir()}
        folder = f"models/{number}"
        model = f"{folder}/{mesh.name}" if number % 2 else f"{folder}.zip"
        if number % 2:
            members.update({f"{folder}/{name}": data for name, data in files.items()})
        else:
            members[model] = zipped(files)
        category, name = item.split("/")
        pieces.append({"id": name, "name": name, "category": category, "model": f"/{model}"})
    write(tmp_path / "furniture.sh3f", library(pieces, members))
    found = list_sources({"format": "sh3f", "path": str(tmp_path)})
    assert len(names) == 9
    assert sorted(found) == sorted(names)
    for item in names:
        arrays = process(Item(item, {}, found[item]), Params(), np.random.default_rng(0))
        for name, array in imported[item].items():
            if name not in ("split", "family", "source", "licence"):
                assert np.array_equal(arrays[name], array), (item, name)


def test_cads_of_objectnet3d(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "keypoint_cads"
    keypoints = json.loads((folder / "keypoints3d.json").read_text())
    for name in ("aeroplane01", "car01", "chair01"):
        data = (folder / f"{name}.ply").read_bytes()
        write(tmp_path / "CAD" / "off" / name[:-2] / f"{name[-2:]}.ply", data)
    found = list_sources({"format": "pascal3d", "path": str(tmp_path)})
    assert sorted(found) == ["aeroplane/01", "car/01", "chair/01"]
    for item, source in found.items():
        arrays = process(Item(item, {}, source), Params(), np.random.default_rng(0))
        # their own key points, by name, say where the front and the top are
        points = np.array(list(keypoints[item.replace("/", "")].values()))
        names = list(keypoints[item.replace("/", "")])
        front, back, top = {
            "aeroplane/01": ("noselanding", "tail", "rudder_upper"),
            "car/01": ("left_front_light", "left_back_trunk", "left_window_up"),
            "chair/01": ("seat_lower_left", "seat_upper_left", "back_upper_left"),
        }[item]
        given = trimesh.load_mesh(folder / f"{item.replace('/', '')}.ply", process=False)
        low, high = given.vertices.min(0), given.vertices.max(0)
        placed = (points - (low + high) / 2) / np.linalg.norm(high - low)
        at = dict(zip(names, placed))
        assert at[front][1] < at[back][1] - 0.2
        assert at[top][2] > at[front][2] + 0.05
        distances = np.linalg.norm(arrays["vertices"][None] - placed[:, None], axis=2).min(1)
        assert np.median(distances) < 0.05  # the mesh lies as its key points do


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("draco_coupe.glb", "KHR_draco_mesh_compression"),
        ("meshopt_car-compact.glb", "EXT_meshopt_compression|KHR_mesh_quantization"),
    ],
)
def test_files_that_other_loaders_get_wrong(shared_data: Path, name: str, reason: str) -> None:
    with pytest.raises(ItemError, match=f"needs the glTF extension ({reason})"):
        read_mesh(shared_data / "hostile" / name, 512)
