"""Splits of papers, as the lists that they published, and seeded splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.errors import InputError
from stages.shapes.importing import list_sources
from stages.shapes.splits import assign
from tests.shapes import layouts
from tests.shapes.import_models import write

CHAIRS = ("1a", "1b", "1c", "1d")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four chairs and two airplanes; `1a` is the id of a chair and of an airplane."""
    root = tmp_path / "data"
    layouts.shapenet_v1(root, "03001627", *CHAIRS)
    layouts.shapenet_v1(root, "02691156", "1a", "2b")
    return root


def splits(root: Path, format: str = "shapenet", **more: Any) -> dict[str, str]:
    sources = list_sources({"format": format, "path": str(root), **more})
    return {item: source["split"] for item, source in sources.items()}


def lua(splits: dict[str, tuple[str, ...]]) -> str:
    """A table of lists as torch.DiskFile writes it in ASCII."""

    def string(text: str) -> list[str]:
        return ["2", str(len(text)), text]

    lines = ["3", "1", str(len(splits))]
    for number, (name, ids) in enumerate(splits.items(), 2):
        lines += [*string(name), "3", str(number), str(len(ids))]
        for place, one in enumerate(ids, 1):
            lines += ["1", str(place), *string(one)]
    return "\n".join(lines) + "\n"


WANTED = {"chair/1a": "train", "chair/1b": "train", "chair/1c": "val", "chair/1d": "test"}
LISTS = {"train": ("1a", "1b"), "val": ("1c",), "test": ("1d", "gone")}


def ptn(folder: Path) -> Path:
    for split, name in (("train", "trainids"), ("val", "valids"), ("test", "testids")):
        lines = "".join(f"03001627/{one}\n" for one in LISTS[split])
        write(folder / f"03001627_{name}.txt", lines)
    write(folder / "exp_singleclass.txt", "03001627\n")
    return folder


def lin(folder: Path) -> Path:
    for split, ids in LISTS.items():
        write(folder / f"03001627_{split}.list", "".join(f"03001627/{one}\r\n" for one in ids))
    return folder


def drc(folder: Path) -> Path:
    write(folder / "03001627.file", lua(LISTS))
    return folder


def softras(folder: Path) -> Path:
    for split, ids in LISTS.items():
        write(folder / "03001627" / f"softras_{split}.lst", "\n".join(ids))
    return folder


def names(folder: Path) -> Path:
    for split, ids in LISTS.items():
        write(folder / f"chair-{split}.txt", "".join(f"{one}/model.obj\n\n" for one in ids))
    return folder


def table(folder: Path) -> Path:
    rows = [f"chair/{one},{split}" for split, ids in LISTS.items() for one in ids]
    return write(folder / "mine.csv", "id,split\n" + "\n".join([*rows, "chair/1z,", ""]))


def columns(folder: Path) -> Path:
    rows = [f"7,03001627,9,{one},{split}" for split, ids in LISTS.items() for one in ids]
    head = "id,synsetId,subSynsetId,modelId,split\n"
    return write(folder / "all.csv", head + "\n".join(rows))


@pytest.mark.parametrize("written", [ptn, lin, drc, softras, names, table, columns])
def test_lists_of_papers(data: Path, tmp_path: Path, written: Callable[[Path], Path]) -> None:
    where = written(tmp_path / "lists")
    # the airplane 1a is not what a list of chairs means; what no list names is left out
    assert splits(data, split_file=str(where)) == WANTED


def test_a_single_file(data: Path, tmp_path: Path) -> None:
    one = drc(tmp_path / "lists") / "03001627.file"
    assert splits(data, split_file=str(one)) == WANTED
    ptn(tmp_path / "lists")
    one = tmp_path / "lists" / "03001627_testids.txt"
    assert splits(data, split_file=str(one)) == {"chair/1d": "test"}
    bare = write(tmp_path / "train.txt", "1a\n2b\n")  # no category: all that are called so
    assert splits(data, split_file=str(bare)) == dict.fromkeys(
        ("airplane/1a", "airplane/2b", "chair/1a"), "train"
    )


def test_the_published_splits_of_drc_are_read(data: Path, tmp_path: Path) -> None:
    # the beginning of cachedir/splits/shapenet/03001627.file of that code, cut to two ids
    head = "3\n1\n3\n2\n4\ntest\n3\n2\n2\n1\n1\n2\n32\nbdaaebf065b112da492d9da2668ec34c\n"
    head += (
        "1\n2\n2\n32\n1d37a7fbe0810f963e83b2d32ed5f665\n2\n5\ntrain\n3\n3\n0\n2\n3\nval\n3\n4\n0\n"
    )
    layouts.shapenet_v1(data, "03001627", "1d37a7fbe0810f963e83b2d32ed5f665")
    where = write(tmp_path / "03001627.file", head)
    wanted = {"chair/1d37a7fbe0810f963e83b2d32ed5f665": "test"}
    assert splits(data, split_file=str(where)) == wanted


def test_lists_of_other_layouts(tmp_path: Path) -> None:
    layouts.modelnet(tmp_path / "ModelNet10")
    lists = tmp_path / "lists"
    write(lists / "modelnet10_train.txt", "chair_0003\nnight_stand_0001\n")
    write(lists / "validation.txt", "chair/train/chair_0001.off\n")
    found = splits(tmp_path / "ModelNet10", "modelnet", split_file=str(lists))
    assert found == {
        "chair/chair_0001": "val",
        "chair/chair_0003": "train",
        "night_stand/night_stand_0001": "train",
    }


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"train.txt": "xyz\n"}, "lists none of the 6 models: it says 'xyz'"),
        ({"train.txt": "\n"}, "lists no ids"),
        (
            {"train.txt": "1b\n", "test.txt": "chair/1b\n"},
            "chair/1b is in test (test.txt) and in train (train.txt)",
        ),
        ({"readme.md": "1b\n"}, "holds no lists"),
        ({"chairs.file": "hello\n"}, "is no table of splits"),
        ({"chairs.file": "3\n1\n1000000000000\n"}, "is no table of splits"),
        ({"chairs.file": "3\n1\n1\n" * 1000}, "is no table of splits"),
        ({"a.file": lua({"dev": ("1b",)})}, "split 'dev' is unknown"),
        ({"a.csv": "id,split\n1b,dev\n"}, "split 'dev' is unknown"),
        ({"a.csv": "name,split\n1b,dev\n"}, "no columns id and split"),
        ({"a.csv": 'id,split\n"1b,train\n'}, "line 2"),
        ({"test.txt": b"\xff\xfe1b"}, "not UTF-8"),
        ({"train.txt": "../../03001627/x\n/\n\\\n"}, "lists none"),
    ],
)
def test_bad_lists(data: Path, tmp_path: Path, files: dict[str, str], says: str) -> None:
    for name, text in files.items():
        write(tmp_path / "lists" / name, text)
    with pytest.raises(InputError) as error:
        splits(data, split_file=str(tmp_path / "lists"))
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.hint


def test_where_there_is_no_list(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        splits(data, split_file=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="does not say which split"):
        splits(data, split_file=str(write(tmp_path / "ids.txt", "1b\n")))


def test_a_seed_deals_out_families(tmp_path: Path) -> None:
    head = "id,category,file,up,front,split,family\n"
    rows = [f"c{n},chair,{n}.off,+z,-y,,f{n // 3}\n" for n in range(30)]
    write(tmp_path / "models.csv", head + "".join(rows))
    assert set(splits(tmp_path, "manifest").values()) == {""}
    found = splits(tmp_path, "manifest", split_seed=4)
    items = {f"chair/c{n}": {"split": "", "family": f"f{n // 3}"} for n in range(30)}
    assert found == assign(items, seed=4)
    assert set(found.values()) == {"train", "val", "test"}
    assert found != splits(tmp_path, "manifest", split_seed=5)
    for number in range(0, 30, 3):  # near-copies stay together
        assert len({found[f"chair/c{number + k}"] for k in range(3)}) == 1


def test_a_seed_adds_what_a_list_leaves_open(tmp_path: Path) -> None:
    layouts.modelnet(tmp_path)
    found = splits(tmp_path, "modelnet", split_seed=0)
    assert {i for i, s in found.items() if s == "test"} == {
        "chair/chair_0003",
        "night_stand/night_stand_0003",
    }
    assert sorted(s for i, s in found.items() if i.startswith("chair")) == ["test", "train", "val"]
    only = write(tmp_path.parent / "test.txt", "chair_0001\nchair_0002\n")
    # of what is listed, nothing is open
    assert set(splits(tmp_path, "modelnet", split_file=str(only), split_seed=0).values()) == {
        "test"
    }
