"""CSV, JSON, TOML and lists of others that are read in the command: whatever they hold, they are
refused in two lines, within two seconds and 250 MB.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossdim_cli.config import read_config
from crossdim_cli.main import run as run_command
from crossdim_cli.pipeline import read_steps
from stages.errors import CrossdimError, ItemError
from stages.evaluate.detections import COLUMNS, read_boxes
from stages.photos.layouts.tables import read_table
from stages.shapes.importing import list_sources
from stages.shapes.importing.sh3f import parse_properties
from stages.shapes.importing.shapenet import _names, _official_splits
from stages.shapes.importing.split_lists import with_splits
from stages.skeletons import template
from stages.store import texts
from stages.store.manifest import read_manifest
from stages.store.workspace import Workspace
from stages.train.checkpoint import _read_pointer
from stages.train.log import read_metrics
from stages.train.run import Run
from stages.viewpoints import fitted, readers
from stages.viewpoints.layouts import _listed
from stages.weights.cards import read_card
from tests.attacks.memory import growth

SECONDS, BYTES = 2.0, 250 << 20
LARGE = 1 << 30


def large(path: Path, head: str) -> None:
    """One field of a gibibyte; a sparse file, which takes no room on the disk."""
    path.write_text(head + '"')
    os.truncate(path, LARGE)


def pipe(path: Path, head: str) -> None:
    """Whoever reads from it waits for ever."""
    os.mkfifo(path)


def bytes_of(data: bytes) -> Callable[[Path, str], None]:
    """A maker of files of the first line and `data`."""
    return lambda path, head: path.write_bytes(head.encode() + data)  # type: ignore[return-value]


ANY = {
    "large": large,
    "pipe": pipe,
    "zero byte": bytes_of(b"\0\n"),
    "no UTF-8": bytes_of(b"\xff\xfe\n"),
}
JSON = {
    "nested": bytes_of(b"[" * 100_000),
    "nested objects": bytes_of(b'{"a":' * 100_000),
    "digits": bytes_of(b"1" * 1_000_000),
    "no float": bytes_of(b"[1, -%d]" % 10**400),
    "65 bits": bytes_of(b"[%d]" % 2**64),
    "values": bytes_of(b"[" + b"[]," * 2_100_000),
    "objects": bytes_of(b"[" + b'{"":0},' * 1_400_000),
}
CSV = {
    "field": bytes_of(b'"' + b"a" * (1 << 20)),
    "digits": bytes_of(b"9" * 1_000_000),
    "columns": bytes_of(b"x," * 2_000_000 + b"\n"),
    "lines": bytes_of(b"\n" * 4_100_000),
}
TOML = {
    "nested": bytes_of(b"a = " + b"[" * 100_000),
    "dotted": bytes_of(b"a" + b".a" * 100_000 + b" = 1"),
    "digits": bytes_of(b"a = " + b"1" * 200_000),
}


def _split(path: Path) -> Any:
    return with_splits({"chair/a": {"path": "a.obj"}}, {"split_file": str(path)})


def _set(path: Path) -> Any:
    return fitted.load(path.stem, Workspace(path.parents[1]))


def _template(path: Path) -> Any:
    return template.load(path.stem, Workspace(path.parents[1]))


def _models(path: Path) -> Any:
    return list_sources({"format": "manifest", "path": str(path)})


def _annotated(path: Path) -> Any:
    return list_sources({"format": "annotated", "path": str(path.parent)})


# what reads it, the name of the file, its first line, what is done to it
READERS: dict[str, tuple[Callable[[Path], Any], str, str, dict[str, Any]]] = {
    "models": (_models, "models.csv", "id,category,file,up,front\n", CSV),
    "all.csv": (lambda p: _official_splits(p.parent), "all.csv", "synsetId,modelId,split\n", CSV),
    "split table": (_split, "split.csv", "id,split\n", CSV),
    "split list": (_split, "train.txt", "", {"lines": CSV["lines"]}),
    "split of torch": (_split, "03001627.file", "3\n1\n3\n", CSV),
    "boxes": (read_boxes, "boxes.csv", f"{','.join(COLUMNS)}\n", CSV),
    "views": (readers.read_table, "a.csv", "category,azimuth_deg,elevation_deg\n", CSV),
    "metrics": (read_metrics, "metrics.csv", "step,loss\n", {}),
    "photos": (lambda p: list(_listed(p)), "a.txt", "", {"lines": CSV["lines"]}),
    "parts": (lambda p: list(read_table(p, int, float)), "a.txt", "1 2\n", CSV),
    "taxonomy": (lambda p: _names(p.parent), "taxonomy.json", "", JSON),
    "keypoints": (_annotated, "keypoints3d.json", "", JSON),
    "set": (_set, "viewpoints/mine.json", "", JSON),
    "template": (_template, "templates/mine.json", "", JSON),
    "card": (read_card, "a.json", "", JSON),
    "record": (lambda p: Run(p.parent).record(), "toy/a/run.json", "", JSON),
    "pointer": (lambda p: _read_pointer(p.parent, "last"), "last.json", "", JSON),
    "configuration": (read_config, "crossdim.toml", "", TOML),
    "pipeline": (lambda p: read_steps(p, p.parent), "pipeline.toml", "", TOML),
}
OPTIONAL = ("all.csv", "taxonomy", "photos")  # used where they are files, else left alone
CASES = [(name, what) for name, (*_, more) in READERS.items() for what in (*ANY, *more)]
CASES.remove(("metrics", "zero byte"))  # a torn line is left out


@pytest.mark.parametrize(("reader", "what"), CASES)
def test_it_is_refused(reader: str, what: str, tmp_path: Path) -> None:
    read, name, head, more = READERS[reader]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    {**ANY, **more}[what](path, head)
    found: list[Exception] = []

    def attempt() -> None:
        try:
            read(path)
        except (CrossdimError, ItemError) as error:
            found.append(error)

    start = time.process_time()
    taken = growth(attempt)
    assert time.process_time() - start < SECONDS
    assert taken < BYTES
    if what == "pipe" and reader in OPTIONAL:
        assert found == []
        return
    assert len(found) == 1, "it was read"
    lines = [str(found[0]), getattr(found[0], "hint", "")]
    assert all(line.isprintable() and len(line) < 500 for line in lines), lines
    assert isinstance(found[0], ItemError) or (path.stem in lines[0] and lines[1])


@pytest.mark.parametrize("what", [*ANY, *JSON])
def test_a_manifest_that_is_none_does_not_count(what: str, tmp_path: Path) -> None:
    """Then all is read from the shards."""
    path = tmp_path / "manifest.json"
    {**ANY, **JSON}[what](path, '{\n "digest": "",\n')
    found: list[Any] = []
    start = time.process_time()
    taken = growth(lambda: found.append(read_manifest(path)))
    assert time.process_time() - start < SECONDS
    assert taken < BYTES
    assert found == [None]


@pytest.mark.parametrize("what", ["large", "field", "digits", "zero byte", "no UTF-8", "pipe"])
def test_the_command_says_so_in_two_lines(
    what: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "models.csv"
    {**ANY, **CSV}[what](path, "id,category,file,up,front\n")
    words = ["shapes", "import", str(path), "--workspace", str(tmp_path / "w"), "--quiet"]
    assert run_command(words) == 3
    out, errors = capfd.readouterr()
    assert out == ""
    message, _ = errors.splitlines()
    assert message.startswith("error: ")
    assert "models.csv" in message


@pytest.mark.parametrize("text", ["k=\n", "a", "\\", "a\\\n", "\\u0041"])
def test_the_catalogue_of_a_library(text: str) -> None:
    """16 MiB of one kind of text."""

    def attempt() -> None:
        with pytest.raises(ItemError, match="catalogue has more than"):
            parse_properties(text * ((16 << 20) // len(text)))

    start = time.process_time()
    assert growth(attempt) < BYTES
    assert time.process_time() - start < SECONDS


def test_what_is_honest_is_read(tmp_path: Path) -> None:
    """The counter-check: the same functions, up to the limits."""
    path = tmp_path / "a"
    path.write_bytes(json.dumps([[n, "ä"] for n in range(100_000)]).encode("utf-8-sig"))
    assert texts.read_json(path)[-1] == [99_999, "ä"]
    path.write_bytes(b"\xef\xbb\xbfid , split\r\n" + b'"a\nb",train\r\n' * 100_000)
    rows = list(texts.read_rows(path))
    assert len(rows) == 100_000
    assert rows[0] == {"id": "a\nb", "split": "train"}
    assert list(texts.lines_of(b"a\r\nb\rc\n\nd")) == ["a", "b", "c", "", "d"]
