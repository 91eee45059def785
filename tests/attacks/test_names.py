"""S7, S8: names of others cannot leave a folder, collide, or do anything where they are shown."""

from __future__ import annotations

import io
import json
import random
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from crossdim_cli.main import run
from crossdim_cli.output import Output, printable, table
from stages.errors import CrossdimError, UsageError
from stages.evaluate.tables import Table, to_csv
from stages.photos.files import distinct_names
from stages.shapes.importing import list_sources
from stages.shapes.importing.sh3f import slug
from stages.store.fingerprint import safe_name
from stages.store.shard import make_key
from stages.store.workspace import Workspace
from tests.attacks.names import NAMES, active_cell, active_html, active_terminal
from tests.engine import fake
from tests.shapes import layouts
from tests.shapes.import_models import write

SHOWN = [name for name in NAMES if name != "\ud800"]  # half a character cannot be printed at all
RESERVED = {"con", "prn", "aux", "nul", *(f"{k}{n}" for k in ("com", "lpt") for n in range(10))}


def hostile_ids(count: int = 500) -> list[str]:
    """The names, and others that are put together from pieces of them."""
    rng = random.Random(7)
    pieces = ["..", "/", "\\", "a", "A", "é", "e\u0301", ".", "-", "_", "\0", " ", "con", ":", "~"]
    made = ("".join(rng.choices(pieces, k=rng.randint(1, 6))) for _ in range(10 * count))
    return list(dict.fromkeys([*NAMES, *made]))[:count]


def is_one_file(name: str, folder: Path) -> bool:
    """Whether a name is one file in a folder, on every system."""
    return (
        (folder / name).resolve().parent == folder.resolve()
        and name.split(".")[0].casefold() not in RESERVED
        and not name.endswith((".", " "))
        and name.isascii()
        and not set(name) & set('<>:"/\\|?*\0')
    )


def test_ids_are_names_of_files_or_refused(tmp_path: Path) -> None:
    ids = hostile_ids()
    assert len(ids) == 500
    accepted, said = [], []
    for name in ids:
        try:
            accepted.append(safe_name(name, "model"))
        except UsageError as error:
            said.append(str(error))
    assert active_terminal("".join(map(printable, said))) == []
    assert max(map(len, said)) < 500
    assert 10 < len(accepted) < 250
    assert all(is_one_file(name, tmp_path) for name in accepted)
    assert not [name for name in accepted if active_cell(name)]
    with pytest.raises(UsageError):
        Workspace(tmp_path).artefact("voxels", "../shapes")


def test_names_that_are_made_of_them_do_not_collide(tmp_path: Path) -> None:
    ids = hostile_ids()
    made = distinct_names({f"{number}": name for number, name in enumerate(ids)})
    assert len({name.casefold() for name in made.values()}) == len(ids)
    for name in made.values():
        assert safe_name(name, "picture") == name
        assert is_one_file(name, tmp_path)
    assert all(name in ("", slug(name)) for name in map(slug, ids))


def test_a_catalogue_of_hostile_names(tmp_path: Path) -> None:
    """Pieces of furniture called so, by makers called so: ids are names, texts are inert."""
    texts = [n.encode("ascii", "backslashreplace").decode().replace("\n", " ") for n in SHOWN]
    pieces = [
        {"name": text, "category": text, "id": text, "creator": text, "model": "/a.obj"}
        for text in texts
        if text.strip()
    ]
    write(tmp_path / "a.sh3f", layouts.library(pieces, {"a.obj": "x"}))
    sources = list_sources({"format": "sh3f", "path": str(tmp_path)})
    assert len(sources) == len({item.casefold() for item in sources}) == len(pieces)
    for item, source in sources.items():
        category, name = item.split("/")
        assert safe_name(category, "category") == category
        assert safe_name(name, "id") == name
        assert active_terminal(f"{source['source']} {source['licence']}") == []


@pytest.mark.parametrize("column", ["id", "category", "file", "split", "source"])
def test_a_table_of_hostile_names(tmp_path: Path, column: str) -> None:
    """Each is refused in two lines, or comes through as a value that does nothing."""
    row = {"id": "a", "category": "chair", "file": "a.off", "up": "+z", "front": "-y"}
    row |= {"split": "", "source": ""}
    refused: list[tuple[str, bool]] = []
    for name in SHOWN:
        values = {**row, column: name}
        quoted = (f'"{value}"' for value in (v.replace('"', '""') for v in values.values()))
        write(tmp_path / "models.csv", ",".join(row) + "\n" + ",".join(quoted) + "\n")
        try:
            sources = list_sources({"format": "manifest", "path": str(tmp_path)})
        except CrossdimError as error:
            refused.append((printable(error), bool(error.hint)))
        else:
            text = json.dumps(sources, ensure_ascii=False)
            assert active_terminal(text) == []
            assert [safe_name(part, "id") for part in next(iter(sources)).split("/")]
    assert len(refused) > 5
    assert all(hint and active_terminal(text) == [] for text, hint in refused)


def test_nothing_that_is_printed_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    for name in SHOWN:
        output.warn(f"failed chair/a: {name}")
        output.result({"name": name}, table(("name", "n"), [(name, 1)]))
        with output.progress("shapes") as tracker:
            tracker(1, 1, name)
    assert run(["voxelize", "--category", "\x1b]0;x\x07", "--workspace", "\x1b[2J"]) != 0
    captured = capsys.readouterr()
    assert active_terminal(captured.out.replace("\n", "")) == []
    assert active_terminal(captured.err.replace("\n", "")) == []
    assert "[/chair]" in captured.err  # as it is, not as markup
    as_json = Output(as_json=True)
    as_json.result({"names": SHOWN}, "")
    text = capsys.readouterr().out
    assert active_terminal(text.replace("\n", "")) == []
    assert json.loads(text)["names"] == SHOWN


class Terminal(io.StringIO):
    """What a progress bar takes for a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_progress_bar_shows_names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    for name in SHOWN:
        with Output().progress(name) as tracker:
            tracker(1, 1, name)
    shown = terminal.getvalue()
    assert "[/chair]" in shown
    for attack in ("\x1b]", "\x9b", "\x1b[2J\x1b[1;1H", "\x07", "\x08", "\u202e", "\u200b"):
        assert attack not in shown


def test_reasons_of_failures_are_one_line_that_does_nothing(tmp_path: Path) -> None:
    from stages.store.index import load_index
    from stages.store.shard import Failure, build_shard, shard_name

    key = make_key("fake", 1, {"scale": 1}, 0, 1)
    failures = [Failure(f"toy/{n:03d}", "f", f"it is called {m}") for n, m in enumerate(SHOWN)]
    data = build_shard(key, [], failures)
    write(fake.artefact_of(tmp_path).folder / shard_name(0, data), data)
    index = load_index(fake.artefact_of(tmp_path).folder)
    assert len(index.failures()) == len(SHOWN)
    for entry in index.failures().values():
        assert active_terminal(entry.reason.replace("\n", "\0")) == []


def test_cells_are_no_formulas() -> None:
    """What is in a table is an id or a category, hence `safe_name`, or a number."""
    names = [n for n in hostile_ids() if _accepted(n)]
    rows: Any = tuple((name, {name: 1.5}) for name in names)
    text = to_csv([Table("iou", "IoU", rows)])
    assert not [cell for line in text.split("\n") for cell in line.split(",") if active_cell(cell)]


def _accepted(name: str) -> bool:
    try:
        return bool(safe_name(name, "id"))
    except UsageError:
        return False


def test_the_tests_find_what_is_active() -> None:
    for page in ("<p onclick=x>", "<script>", "<a href=' javascript:x'>"):
        assert active_html(page)
    assert active_html("<p title='&lt;script&gt;'>&lt;script&gt;</p>") == []
    assert [len(active_terminal(text)) for text in ("\x1b[2J", "\u202e", "é\n")] == [1, 1, 0]
    assert list(map(active_cell, ("=1+1", "@x", "-1.5"))) == [True, True, False]
    assert [n for n in NAMES if unicodedata.normalize("NFC", n) != n]  # two spellings of one name
