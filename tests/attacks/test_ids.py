"""S7: no name in a file of others leads out of the workspace, and no two names become one file.

Five hundred hostile names, as ids and categories of every importer, as names on the command line,
and as ids in a shard that somebody else wrote.
"""

from __future__ import annotations

import csv
import io
import random
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossdim_cli.main import run
from stages.errors import CrossdimError, InputError
from stages.photos import layouts as layouts_of_photos
from stages.photos.annotated import Annotated, Entry
from stages.shapes.importing import list_sources as list_shapes
from stages.store.fingerprint import safe_name
from stages.store.index import load_index
from stages.store.manifest import check_id
from stages.viewpoints.importing import STAGE as VIEWPOINTS
from tests.attacks.names import CELLS, NAMES, PATHS, active_cell, active_terminal
from tests.engine import fake
from tests.shapes import layouts
from tests.shapes.import_models import write

PART = re.compile(r"[A-Za-z0-9._-]{1,100}")
COUNT = 500


def hostile_names(count: int = COUNT) -> list[str]:
    """NAMES, then names made of them: joined, doubled, cut, in other cases and forms."""
    rng = random.Random(7)
    names = dict.fromkeys(NAMES)
    change: list[Callable[[str], str]] = [
        lambda name: name + rng.choice(NAMES),
        lambda name: f"{rng.choice(NAMES)}/{name}",
        lambda name: name[: rng.randrange(len(name) + 1)],
        lambda name: name.swapcase(),
        lambda name: unicodedata.normalize(rng.choice(("NFC", "NFD", "NFKD")), name),
        lambda name: name + rng.choice((".", " ", "\0", "/", ".obj", "\u200b", "::$DATA")),
        lambda name: "chair" + rng.choice(("", name)),
    ]
    while len(names) < count:
        names[rng.choice(change)(rng.choice(list(names)))] = None
    return list(names)


HOSTILE = hostile_names()


def check_ids(ids: list[str], together: bool = True) -> None:
    """Every id is two plain parts and leads nowhere; of one data set no two are alike anywhere."""
    folded = [unicodedata.normalize("NFC", item).casefold() for item in ids]
    assert len(set(folded)) == len(folded) or not together
    for item in ids:
        category, _, name = item.partition("/")
        for part in (category, name):
            assert PART.fullmatch(part), item
            assert part not in (".", ".."), item
        assert not active_terminal(item)
        assert not active_cell(item)
        root = Path("/workspace")
        assert (root / item).resolve().is_relative_to(root)


def accepted(found: Callable[[], dict[str, Any]]) -> list[str]:
    """The ids that a lister gives; [] where it refused, in two lines that a terminal can show."""
    try:
        return list(found())
    except CrossdimError as error:
        refusal = error
    assert refusal.hint
    assert len(str(refusal)) < 2000
    return []


def test_there_are_five_hundred() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) == COUNT
    assert set(PATHS) | set(CELLS) <= set(HOSTILE)


def test_a_name_is_taken_or_refused_and_none_is_changed() -> None:
    taken = [name for name in HOSTILE if _takes(name)]
    check_ids([f"chair/{name}" for name in taken], together=False)
    # what is left is harmless indeed
    assert all(PART.fullmatch(name) for name in taken)
    assert 0 < len(taken) < COUNT // 4


def _takes(name: str) -> bool:
    try:
        return safe_name(name, "name") == name
    except CrossdimError as error:
        refusal = str(error)
    assert len(refusal) < 1000
    assert not active_terminal(refusal)
    return False


@pytest.mark.parametrize("column", ["id", "category"])
def test_tables_of_models(tmp_path: Path, column: str) -> None:
    head = ["id", "category", "file", "up", "front"]
    ids: list[str] = []
    for number, name in enumerate(HOSTILE):
        row = {"id": f"a{number}", "category": "chair", "file": "a.obj", "up": "+z", "front": "-y"}
        text = io.StringIO()
        writer = csv.DictWriter(text, head)
        writer.writeheader()
        writer.writerow({**row, column: name})
        path = tmp_path / "models.csv"
        path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
        ids += accepted(lambda path=path: list_shapes({"format": "manifest", "path": str(path)}))
    assert 0 < len(ids) < COUNT // 4
    check_ids(ids, together=False)


def _files(root: Path, kind: str, suffix: str = ".off") -> list[str]:
    """A file or a folder for every hostile name that the file system takes; these names."""
    made = []
    for name in HOSTILE:
        path = f"{name}/a{suffix}" if kind == "folder" else f"chair/{name}{suffix}"
        if "/" in name or name in ("", ".", ".."):
            continue
        try:
            write(root / path, "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
        except (OSError, ValueError):
            continue
        made.append(name)
    assert len(made) > 100
    return made


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_folders_of_models_one_by_one(tmp_path: Path, kind: str) -> None:
    """One hostile name refuses the data set, so each is put into one of its own."""
    everything = tmp_path / "all"
    ids: list[str] = []
    for number, name in enumerate(_files(everything, kind)):
        root = tmp_path / str(number)
        path = f"{name}/a.off" if kind == "folder" else f"chair/{name}.off"
        write(root / path, "OFF\n")
        ids += accepted(lambda root=root: list_shapes({"format": "folder", "path": str(root)}))
    check_ids(ids, together=False)
    assert accepted(lambda: list_shapes({"format": "folder", "path": str(everything)})) == []


def test_tables_of_viewpoints(tmp_path: Path) -> None:
    assert VIEWPOINTS.list_sources is not None
    ids: list[str] = []
    for number, name in enumerate(HOSTILE):
        if "/" in name or not name:
            continue
        try:
            root = tmp_path / str(number)
            path = write(root / "t" / f"{name}.csv", "category,azimuth,elevation\n")
        except (OSError, ValueError):
            continue
        origin = {"kind": "annotations", "format": "csv", "path": str(path)}
        ids += accepted(lambda origin=origin: VIEWPOINTS.list_sources(origin))  # type: ignore[misc]
    check_ids(ids, together=False)
    for name in ("A.csv", "a.csv"):
        write(tmp_path / "cases" / name, "category,azimuth,elevation\n")
    origin = {"kind": "annotations", "format": "csv", "path": str(tmp_path / "cases")}
    with pytest.raises(InputError, match="differ in case alone"):
        VIEWPOINTS.list_sources(origin)


COMMANDS = (
    "shapes import {data} --name",
    "viewpoints fit --name",
    "train pose-aware --preset tiny -n --name",
    "voxelize -n --category",
    "inspect",
    "verify",
    "status --missing",
)


@pytest.mark.parametrize("line", COMMANDS)
def test_names_on_the_command_line_lead_nowhere(
    tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = tmp_path / "deep" / "workspace"
    data = tmp_path / "data" / "chair"
    layouts.model(data / "a.off", "+z", "-y")
    before = sorted(tmp_path.rglob("*"))
    for name in ("..", "../..", "../out", "/tmp/crossdim-out", "a/../../../out", "\x1b[2J", "a\0b"):
        words = [word.format(data=data.parent) for word in line.split()]
        code = run([*words, name, "--workspace", str(workspace)])
        out, err = capsys.readouterr()
        assert code in (2, 3), (line, name, out, err)
        assert len(err.splitlines()) == 2
        assert not active_terminal(out + err)
    there = [p for p in sorted(tmp_path.rglob("*")) if not p.is_relative_to(tmp_path / "deep")]
    assert there == before
    assert not Path("/tmp/crossdim-out").exists()
    assert not list(workspace.rglob("*.h5"))


ACTIVE = [n for n in HOSTILE if active_cell(n) or active_terminal(n) or ".." in n.split("/")]


def test_ids_in_a_shard_of_somebody_else(tmp_path: Path) -> None:
    refused = 0
    for number, name in enumerate(ACTIVE[::6]):
        try:
            fake.run(tmp_path / str(number), [name, "toy/a"])
        except (CrossdimError, UnicodeEncodeError):
            refused += 1
            continue
        index = load_index(fake.artefact_of(tmp_path / str(number)).folder)
        assert all(check_id(item) for item in index.entries)
        assert name not in index.entries
    assert refused > 5
    for name in ACTIVE:
        with pytest.raises(ValueError, match="is no id"):
            check_id(name)


def test_categories_of_photos_that_differ_in_case_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Entry(c, "a", Annotated(f"{n}.jpg")) for n, c in enumerate(("Car", "car", "CAR"))]
    monkeypatch.setitem(layouts_of_photos.FORMATS, "made", lambda root: found)
    origin = {"kind": "keypoints", "format": "made", "path": str(tmp_path)}
    ids = list(layouts_of_photos.list_sources(origin))
    assert ids[0] == "Car/a"
    assert len(ids) == 3
    check_ids(ids)
