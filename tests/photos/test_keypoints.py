"""Keypoints land on the right pixel: every picture has a disc of its own colour at each of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.errors import ItemError
from stages.photos import placing
from stages.photos.keypoints import SPEC, Params, process, spread
from stages.photos.layouts import list_sources
from stages.photos.layouts.flic import NAMES as JOINTS
from stages.photos.layouts.keypoint5 import NAMES
from stages.stage import Arrays, Item
from stages.store.shard import encode_item
from tests.photos import makers

Size = tuple[int, int]
WIDE, TALL = (300, 200), (180, 260)
PARTS = ["back", "beak", "belly", "left eye", "tail"]
ANCHORS = ["left_front_wheel", "right_front_wheel", "left_back_trunk", "right_back_trunk"]


def imported(root: Path, format: str, params: Params | None = None) -> dict[str, Arrays]:
    """Every item of a data set, as it goes into the cache."""
    sources = list_sources({"kind": "keypoints", "format": format, "path": str(root)})
    return {item: processed(source, params) for item, source in sources.items()}


def processed(source: dict[str, Any], params: Params | None = None) -> Arrays:
    item = Item("a/b", {}, source)
    arrays = process(item, params or Params(), np.random.default_rng(0))
    encode_item(SPEC, arrays)  # names, dtypes and axes as SPEC says
    return arrays


def check_discs(arrays: Arrays, pixels: np.ndarray, original: Size) -> None:
    """The keypoints are at these pixels of the original, and their discs are where they are."""
    rgb = arrays["rgb"].astype(float)
    affine = arrays["affine"]
    assert tuple(arrays["source_size"]) == original
    back = (arrays["keypoints"] - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    there = np.isfinite(pixels).all(-1)
    assert np.array_equal(arrays["visible"], there)
    assert np.isnan(arrays["keypoints"][~there]).all()
    # float32 of a few hundred pixels
    assert np.abs(back[there] - (pixels[there] + 0.5)).max() < 1e-3
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]] + 0.5
    for (u, v), colour in zip(arrays["keypoints"][there], makers.colours(len(pixels))[there]):
        assert np.abs(rgb[int(v), int(u)] - colour).max() <= 16, (
            "JPEG and the filter change a little"
        )
        # Where the disc is: its share of each pixel is linear in how much of its hue there is, all
        # else being grey. Half a pixel of the original off would be 0.2 or more.
        near = np.hypot((x - u) / affine[0, 0], (y - v) / affine[1, 1]) < 9
        hue = colour - colour.mean()
        share = np.where(near, (rgb - rgb.mean(-1, keepdims=True)) @ hue, 0)
        found = np.array([(x * share).sum(), (y * share).sum()]) / share.sum()
        assert np.abs(found - [u, v]).max() < 0.1, (found, u, v)


def make_keypoint5(root: Path, size: Size) -> np.ndarray:
    pixels = makers.spots(size, 10).astype(float)
    clicks = np.stack([pixels + shift for shift in ([0, 0], [2, -1], [-3, 4])])  # (A, K, 2)
    coords = (clicks + 1).transpose(2, 1, 0)[..., None]  # MATLAB counts from 1
    makers.keypoint5(root, "chair", {1: makers.dotted(size, pixels)}, coords)
    return pixels


def make_ikea(root: Path, size: Size) -> np.ndarray:
    return make_keypoint5(root, size)


def make_cub(root: Path, size: Size) -> np.ndarray:
    pixels = makers.spots(size, len(PARTS)).astype(float)
    picture = makers.dotted(size, pixels)
    makers.cub(root, [("001.Albatross/Albatross_1.jpg", picture)], PARTS)
    rows = [f"1 {n} {x} {y} {int(n != 3)}" for n, (x, y) in enumerate(pixels, 1)]  # from 0
    makers.write(root / "parts/part_locs.txt", "\n".join(rows))
    pixels[2] = np.nan
    return pixels


def make_flic(root: Path, size: Size) -> np.ndarray:
    pixels = makers.spots(size, len(JOINTS)).astype(float)
    pixels[4] = np.nan
    coords = np.full((2, 29), np.nan)
    coords[:, list(JOINTS.values())] = pixels.T + 1
    dims = np.array([[size[1], size[0], 3]])
    makers.flic(root, [makers.flic_example(coords=coords, imgdims=dims)])
    data = makers.encode(makers.dotted(size, pixels), "JPEG")
    makers.write(root / "images/film-00000001.jpg", data)
    return pixels


def make_pascal3d(root: Path, size: Size) -> np.ndarray:
    pixels = makers.spots(size, len(ANCHORS)).astype(float)
    anchors: dict[str, Any] = {n: p + 1 for n, p in zip(ANCHORS, pixels)}
    anchors[ANCHORS[1]] = 2.0  # a status: hidden
    path = root / "Annotations/car_imagenet/n02814533_10026.mat"
    makers.record(path, [makers.pascal_object("car", anchors)])
    data = makers.encode(makers.dotted(size, pixels), "JPEG")
    makers.write(root / "Images/car_imagenet/n02814533_10026.JPEG", data)
    pixels[1] = np.nan
    return pixels


MAKERS: dict[str, Callable[[Path, Size], np.ndarray]] = {
    "keypoint5": make_keypoint5,
    "ikea": make_ikea,
    "cub": make_cub,
    "flic": make_flic,
    "pascal3d": make_pascal3d,
}
PARAMS = [
    Params(),
    Params(fit="stretch"),
    Params(width=400, height=150),
    Params(width=256, height=256, region="object", margin=0.2),
    Params(width=128, height=200, region="object", fit="stretch"),
]


@pytest.mark.parametrize("size", [WIDE, TALL])
@pytest.mark.parametrize("format", MAKERS)
def test_keypoints_land_on_their_discs(tmp_path: Path, format: str, size: Size) -> None:
    pixels = MAKERS[format](tmp_path, size)
    sources = list_sources({"kind": "keypoints", "format": format, "path": str(tmp_path)})
    [(item, source)] = sources.items()
    for params in PARAMS:
        arrays = processed(source, params)
        assert arrays["rgb"].shape == (params.height, params.width, 3)
        check_discs(arrays, pixels, size)
        if params.fit == "letterbox":
            assert arrays["affine"][0, 0] == pytest.approx(arrays["affine"][1, 1], rel=1e-12)
    assert item.split("/")[0] in ("chair", "bird", "person", "car")


@pytest.mark.parametrize("format", MAKERS)
def test_exif_orientation_does_not_move_keypoints_off(tmp_path: Path, format: str) -> None:
    """Annotations count the pixels of the file: those, not the upright ones, are what is stored."""
    pixels = MAKERS[format](tmp_path, WIDE)
    [path] = [p for p in tmp_path.rglob("*") if p.suffix in (".jpg", ".JPEG")]
    picture = np.asarray(Image.open(path))
    origin = {"kind": "keypoints", "format": format, "path": str(tmp_path)}
    [source] = list_sources(origin).values()
    for orientation in (3, 6, 7):
        data = makers.encode(picture, "JPEG", exif=makers.oriented(orientation))
        path.write_bytes(data)
        check_discs(processed(source), pixels, WIDE)


def test_where_the_data_set_says_the_upright_size_that_counts(tmp_path: Path) -> None:
    pixels = make_flic(tmp_path, TALL)
    path = tmp_path / "images/film-00000001.jpg"
    turned = makers.dotted(TALL, pixels)[:, ::-1].swapaxes(0, 1)  # orientation 6 turns it back
    path.write_bytes(makers.encode(turned, "JPEG", exif=makers.oriented(6)))
    [arrays] = imported(tmp_path, "flic").values()
    check_discs(arrays, pixels, TALL)
    path.write_bytes(makers.encode(makers.dotted((100, 90), pixels), "JPEG"))
    with pytest.raises(
        ItemError, match="annotated picture had 180x260 pixels, this one has 100x90"
    ):
        imported(tmp_path, "flic")


def test_keypoint5_as_published(tmp_path: Path) -> None:
    """Missing annotators, an empty fourth, more rows than keypoints, the median as the truth."""
    rng = np.random.default_rng(0)
    truth = makers.spots(WIDE, 10).astype(float)
    clicks = truth + rng.normal(0, 3, (2, 4, 10, 2)) + 1  # (pictures, A, K, 2)
    clicks[0, 3] = np.nan
    clicks[1, 3] = 5  # a fourth annotator, who does not count
    clicks[0, 1] = 0  # did not do this picture
    clicks[0, 2, 4] = np.nan  # left one out
    clicks[:, :, 7] = np.nan  # nobody found it
    extra = np.concatenate([clicks, np.zeros((2, 4, 4, 2))], 2)  # 14 rows, as other categories have
    pictures = {n: makers.dotted(WIDE, truth) for n in (1, 2)}
    makers.keypoint5(tmp_path, "bed", pictures, extra.transpose(3, 2, 1, 0))
    items = imported(tmp_path, "keypoint5", Params(*WIDE))  # the picture as it is
    assert sorted(items) == ["bed/00000001", "bed/00000002"]
    for arrays, three in zip(items.values(), clicks[:, :3] - 0.5):
        assert tuple(n.decode() for n in arrays["keypoint_names"]) == NAMES["bed"]
        assert len(NAMES["bed"]) == 10
        assert arrays["split"].item() == b""
        used = [[one for one in three[:, k] if one[0] > 0] for k in range(10)]
        for k, ours in enumerate(used):  # a naive loop
            if not ours:
                assert not arrays["visible"][k]
                assert np.isnan(arrays["keypoints"][k]).all()
                assert np.isnan(arrays["sigma"][k])
                continue
            assert arrays["keypoints"][k] == pytest.approx(np.median(ours, 0), abs=1e-4)
            mean = np.mean(ours, 0)
            total = sum(((one - mean) ** 2).sum() for one in ours)
            wanted = np.sqrt(total / (len(ours) - 1)) if len(ours) > 1 else np.nan
            assert arrays["sigma"][k] == pytest.approx(wanted, abs=1e-4, nan_ok=True)
        shown = arrays["annotator_keypoints"]
        assert shown.shape == (3, 10, 2)
        whole = np.isfinite(three).all(-1) & (three > 0).all(-1)
        assert np.array_equal(np.isfinite(shown).all(-1), whole)
        assert shown[whole] == pytest.approx(three[whole], abs=1e-4)


def test_sigma_is_in_stored_pixels() -> None:
    clicks = np.random.default_rng(0).normal(0, 1, (3, 5, 2))
    turned = placing.apply_affine(np.array([[2.0, 0, 7], [0, 2, -3]]), clicks)
    assert spread(turned) == pytest.approx(2 * spread(clicks))


def test_keypoint5_pictures_and_annotations_that_miss_each_other(tmp_path: Path) -> None:
    picture = makers.dotted(WIDE, makers.spots(WIDE, 8))
    coords = np.full((2, 8, 3, 4), 50.0)
    coords[..., 2] = np.nan
    makers.keypoint5(tmp_path, "table", {1: picture, 3: picture, 9: picture}, coords)
    images = tmp_path / "table/images"
    makers.write(images / "00000004.jpg", makers.encode(picture))
    makers.write(images / "00000004.png", makers.encode(picture))
    makers.write(images / "cover.png", makers.encode(picture))
    sources = list_sources({"kind": "keypoints", "format": "keypoint5", "path": str(tmp_path)})
    reasons = {}
    for item, source in sources.items():
        try:
            processed(source)
        except ItemError as error:
            reasons[item.removeprefix("table/")] = str(error)
    assert "00000001" not in reasons
    assert reasons["00000002"] == "file is missing: table/images/00000002.jpg"
    assert reasons["00000003"] == "no keypoint is annotated"
    assert reasons["00000009"] == "coords.mat has annotations of pictures 1 to 4"
    assert reasons["cover"].startswith("its name is no number")
    several = [r for n, r in reasons.items() if n.startswith("00000004")]
    assert several == ["there are several pictures of number 4"] * 2
    assert len(sources) == 7


def test_points_outside_of_the_picture(tmp_path: Path) -> None:
    inside = [50.0, 60.0]
    points = [inside, [-0.9, 60.0], [300.8, 200.0], [-1.1, 60.0], [50.0, 5000.0], None]
    makers.write(tmp_path / "a.png", makers.encode(makers.dotted(WIDE, np.array([[50, 60]]))))
    names = [f"k{n}" for n in range(6)]
    source = {"root": str(tmp_path), "path": "a.png", "names": names, "points": points}
    arrays = processed(source, Params(*WIDE))
    assert arrays["visible"].tolist() == [1, 1, 1, 0, 0, 0]
    assert arrays["keypoints"][:3].tolist() == [inside, [0, 60], [300, 200]]
    assert arrays["bbox"].tolist() == [0, 60, 300, 200]  # around what is visible
    for others, reason in (
        (points[3:], "all its keypoints lie outside of the picture"),
        ([None, None, None], "no keypoint is annotated"),
    ):
        with pytest.raises(ItemError, match=reason):
            processed({**source, "points": others, "names": names[:3]})
    with pytest.raises(ItemError, match="its box is empty or outside"):
        processed({**source, "bbox": [400, 10, 500, 60]})


def test_cub_as_published(tmp_path: Path) -> None:
    pixels = makers.spots(WIDE, len(PARTS)).astype(float)
    picture = makers.dotted(WIDE, pixels)
    names = ["001.Albatross/Albatross_1.jpg", "002.Auklet/Auklet_1.jpg"]
    makers.cub(tmp_path / "CUB_200_2011", [(name, picture) for name in names], PARTS)
    parts = tmp_path / "CUB_200_2011/parts"
    rows = [f"{i} {n} {x} {y} 1" for i in (1, 2) for n, (x, y) in enumerate(pixels, 1)]
    makers.write(parts / "part_locs.txt", "\n".join(rows))
    rng = np.random.default_rng(0)
    clicks = pixels + rng.normal(0, 4, (5, len(PARTS), 2)).round()
    rows = [
        f"1 {n + 1} {x} {y} {int((a, n) != (2, 3))} 3.25"
        for a, row in enumerate(clicks)
        for n, (x, y) in enumerate(row)
    ]
    makers.write(parts / "part_click_locs.txt", "\n".join(rows))
    items = imported(tmp_path, "cub", Params(*WIDE))
    first, second = items["bird/Albatross_1"], items["bird/Auklet_1"]
    assert [n.decode() for n in first["keypoint_names"]] == [p.replace(" ", "_") for p in PARTS]
    assert first["keypoints"] == pytest.approx(pixels + 0.5)
    assert (first["split"].item(), second["split"].item()) == (b"train", b"test")
    assert (first["family"].item(), second["family"].item()) == (b"001.Albatross", b"002.Auklet")
    assert first["bbox"].tolist() == [20, 30, 220, 150]
    assert np.isnan(first["viewpoint"]).all()
    assert np.isnan(second["sigma"]).all()
    for n in range(len(PARTS)):
        ours = [clicks[a, n] for a in range(5) if (a, n) != (2, 3)]
        total = sum(((one - np.mean(ours, 0)) ** 2).sum() for one in ours)
        assert first["sigma"][n] == pytest.approx(np.sqrt(total / (len(ours) - 1)), rel=1e-5)


def test_flic_as_published(tmp_path: Path) -> None:
    pixels = makers.spots(WIDE, len(JOINTS)).astype(float)
    coords = np.full((2, 29), np.nan)
    coords[:, list(JOINTS.values())] = pixels.T + 1
    test = {"istrain": False, "istest": True, "filepath": "film-00000002.jpg", "moviename": "other"}
    neither = {"istrain": False, "filepath": "film-00000003.jpg"}
    twice = {"filepath": "film-00000002.jpg"}
    examples = [makers.flic_example(coords=coords, **more) for more in ({}, test, neither, twice)]
    makers.flic(tmp_path, examples)
    for number in (1, 2, 3):
        data = makers.encode(makers.dotted(WIDE, pixels), "JPEG")
        makers.write(tmp_path / f"images/film-{number:08d}.jpg", data)
    items = imported(tmp_path, "flic", Params(*WIDE))
    assert len(items) == 4
    splits = [items[f"person/film-0000000{n}"]["split"].item() for n in (1, 2, 3)]
    assert splits == [b"train", b"test", b""]
    assert items["person/film-00000002"]["family"].item() == b"other"
    arrays = items["person/film-00000001"]
    assert arrays["bbox"].tolist() == [19, 29, 120, 150]  # pixels 20 to 120, 30 to 150
    assert arrays["annotator_keypoints"].shape == (0, 11, 2)
    torso = np.linalg.norm(pixels[0] - pixels[7])  # lsho to rhip
    at = dict(zip((n.decode() for n in arrays["keypoint_names"]), arrays["keypoints"]))
    assert np.linalg.norm(at["lsho"] - at["rhip"]) == pytest.approx(torso, rel=1e-6)


def make_pictures(root: Path, *paths: str) -> None:
    for path in paths:
        makers.write(root / path, makers.encode(makers.dotted(WIDE, np.array([[50, 60]])), "JPEG"))


def test_pascal3d_as_published(tmp_path: Path) -> None:
    seen, hidden = {"wheel": (51.0, 61.0), "light": 4.0}, {"wheel": 2.0, "light": 3.0}
    coarse = {"azimuth_coarse": 45.0, "elevation_coarse": 10.0, "distance": 0.0, "theta": 9.0}
    objects = [
        makers.pascal_object("car", seen),
        makers.pascal_object("person", {}, viewpoint=np.zeros((0, 0))),
        makers.pascal_object("car", hidden),
        makers.pascal_object("car", seen, viewpoint=coarse),
        makers.pascal_object("bus", seen),
        makers.pascal_object("car", seen, viewpoint=np.zeros((0, 0))),
    ]
    for folder, name, wanted in (
        ("car_imagenet", "n1", "val"),
        ("car_pascal", "2008_000028", "train"),
        ("bus_pascal", "2008_000028", "train"),
    ):
        makers.record(tmp_path / f"Annotations/{folder}/{name}.mat", objects)
        make_pictures(tmp_path, f"Images/{folder}/{name}.jpg")
        voc = tmp_path / "PASCAL/VOCdevkit/VOC2012/ImageSets/Main"
        list_ = voc / f"{wanted}.txt"
        if folder.endswith("imagenet"):
            list_ = tmp_path / f"Image_sets/{folder}_{wanted}.txt"
        makers.write(list_, f"{name}\n")
    items = imported(tmp_path, "pascal3d", Params(*WIDE))
    assert sorted(items) == [
        "bus/2008_000028-5",
        *(f"car/2008_000028-{n}" for n in (1, 4, 6)),
        *(f"car/n1-{n}" for n in (1, 4, 6)),
    ]
    assert items["car/n1-1"]["split"].item() == b"val"
    assert items["bus/2008_000028-5"]["split"].item() == b"train"
    fine, rough, none = (items[f"car/n1-{n}"]["viewpoint"] for n in (1, 4, 6))
    assert fine.tolist() == [33.5, 7.25, -3, 4.5]
    assert rough[:2].tolist() == [45, 10]
    assert np.isnan(rough[2:]).all()
    assert np.isnan(none).all()
    arrays = items["car/n1-1"]
    assert arrays["keypoints"][0].tolist() == [50.5, 60.5]
    assert arrays["visible"].tolist() == [1, 0]
    assert arrays["bbox"].tolist() == [20, 30, 220, 180]


def test_objectnet3d_has_no_folders_by_class(tmp_path: Path) -> None:
    objects = [makers.pascal_object(c, {"tip": (51.0, 61.0)}) for c in ("key", "mug", "../../etc")]
    makers.record(tmp_path / "Annotations/n1.mat", objects)
    makers.write(tmp_path / "Annotations/n2.mat", "no MATLAB file")
    make_pictures(tmp_path, "Images/n1.JPEG")
    makers.write(tmp_path / "Image_sets/test.txt", "n1\nn2\n")
    sources = list_sources({"kind": "keypoints", "format": "pascal3d", "path": str(tmp_path)})
    assert sorted(sources) == ["key/n1-1", "mug/n1-2", "unknown/n1-3", "unknown/n2"]
    assert processed(sources["mug/n1-2"])["split"].item() == b"test"
    for item, reason in (("unknown/n1-3", "cannot be used as a name"), ("unknown/n2", "MATLAB")):
        with pytest.raises(ItemError, match=reason):
            processed(sources[item])


def test_what_left_means_in_pascal3d(shared_data: Path) -> None:
    """Left of who looks at that side: the smaller x of the front (-y), the larger of the back."""
    import json

    models = json.loads((shared_data / "keypoint_cads/keypoints3d.json").read_text())
    count = 0
    for model in models.values():
        for name, point in model.items():
            other = name.replace("left", "right")
            if "left" not in name or other not in model:
                continue
            behind = any(word in name for word in ("back_trunk", "back_light", "rearwindow"))
            smaller = point[0] < model[other][0]
            assert smaller != behind, name
            count += 1
    assert count > 100


def test_crops_of_ikea_have_a_category_and_a_model_but_no_keypoints(shared_data: Path) -> None:
    root = shared_data / "ikea"
    sources = list_sources({"kind": "keypoints", "format": "ikea", "path": str(root)})
    assert len(sources) == 937
    classes = (root / "Lists/all_obj_class.txt").read_text().split()
    ids = [int(n) for n in (root / "Lists/ModelID.txt").read_text().split()]
    names = (root / "Lists/Images.txt").read_text().split()
    wanted = {f"{classes[n - 1]}/{Path(name).stem}" for n, name in zip(ids, names)}
    assert set(sources) == wanted
    arrays = processed(sources["sofa/00000004_001"])
    picture = np.asarray(Image.open(root / "Images/00000004_001.jpg").convert("RGB"))
    assert tuple(arrays["source_size"]) == picture.shape[1::-1]
    assert arrays["keypoints"].shape == (0, 2)
    assert arrays["family"].item().startswith(b"IKEA_sofa_KLIPPAN/")
    assert arrays["affine"][0, 0] == pytest.approx(
        min(240 / picture.shape[1], 320 / picture.shape[0])
    )
