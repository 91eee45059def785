"""S8: names of others are inert where they are shown or written: terminal, CSV, JSON, logs.

Pages of HTML have tests beside their makers, with the same names.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from rich.console import Console

from crossdim_cli import output
from crossdim_cli.main import run
from crossdim_cli.output import Output, printable, table
from stages.errors import CrossdimError
from stages.evaluate.tables import Table, to_csv, to_json
from stages.export.codes import Codes, codes_bytes
from stages.export.tsne import Plane, plane_csv
from stages.store.cells import text_cell
from stages.store.shard import Failure, build_shard, shard_name
from tests.attacks.names import CELLS, NAMES, active_cell, active_terminal
from tests.engine import fake
from tests.shapes import layouts
from tests.shapes.import_models import write


def test_the_detectors_detect() -> None:
    assert active_terminal("\x1b[31m") == ["\x1b"]
    assert active_terminal("a\u202eb")
    assert not active_terminal("chär\n\t")
    assert active_cell("=1+1")
    assert not active_cell("-1.5")
    assert {name for name in CELLS if active_cell(name)} >= set(CELLS[:5])


@pytest.mark.parametrize("as_json", [False, True])
def test_results_and_notes(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=as_json)
    rows = [(name, number, 0.5) for number, name in enumerate(NAMES)]
    data = {"rows": [list(row) for row in rows], **{f"{n}-{name}": n for n, name, _ in []}}
    out.result(data, table(("name", "n", "x"), rows) + "\nand " + "\x1b[2J".join(NAMES))
    for name in NAMES:
        out.note(f"made {name}")
        out.warn(name)
    shown = capsys.readouterr()
    assert not active_terminal(shown.out + shown.err)
    assert len(shown.err.splitlines()) == 2 * len(NAMES)  # no name makes a line of its own
    if as_json:
        assert [row[0] for row in json.loads(shown.out)["rows"]] == list(NAMES)
        assert shown.out.isascii()
    else:
        assert len(shown.out.splitlines()) >= len(rows) + 2


def test_progress_neither_runs_markup_nor_dies_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    plain = Console(file=stream, force_terminal=True, width=400, color_system=None)
    monkeypatch.setattr("rich.console.Console", lambda **options: plain)
    for name in NAMES:
        with output._bar("chair") as update:
            update(1, 1, name)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())  # those of the bar itself
    assert "\x1b" not in text
    assert "[/chair]" in text  # shown as it is
    lines = output._Lines("x")
    lines._shown -= 60
    lines(1, 2, "\x1b[2J")
    assert printable("\x1b[2J") == "?[2J"


def test_tables_of_results() -> None:
    tables = [Table("iou", "t", tuple((name, {name: 0.5}) for name in NAMES))]
    cells = list(csv.reader(io.StringIO(to_csv(tables), newline="")))
    assert len(cells) == 1 + len(NAMES)
    assert not [cell for row in cells for cell in row if active_cell(cell)]
    assert [row[1].removeprefix("'") for row in cells[1:]] == [
        printable(name).removeprefix("'") for name in NAMES
    ]
    assert json.loads(json.dumps(to_json(tables))) == to_json(tables)


def test_tables_of_codes_and_planes() -> None:
    names, count = NAMES, len(NAMES)
    codes = Codes(
        names, np.zeros((count, 2)), np.zeros((count, 2)), np.arange(count), np.zeros(count)
    )
    plane = Plane(names, np.zeros(count, int), np.zeros((count, 2)), 0.0)
    for data in (_codes_csv(codes), plane_csv(plane)):
        rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
        assert len(rows) in (1 + count, 1 + 2 * count)
        assert not [cell for row in rows for cell in row if active_cell(cell)]


def _codes_csv(codes: Codes) -> bytes:
    return codes_bytes(codes, None, ".csv")  # type: ignore[arg-type]


def test_a_cell_is_as_it_was_unless_it_would_run() -> None:
    assert text_cell("chair/a-b") == "chair/a-b"
    for name in NAMES:
        assert text_cell(name).endswith(printable(name))
        assert not active_terminal(text_cell(name))
        assert not active_cell(text_cell(name))


def test_two_lines_of_an_error_are_two_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        monkeypatch.setattr("crossdim_cli.main.build", _raiser(name))
        assert run(["status"]) == 1
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 2
        assert not active_terminal(err)


def _raiser(name: str):  # type: ignore[no-untyped-def]
    def build() -> None:
        raise CrossdimError(f"no {name}", f"run: {name}")

    return build


def test_a_hostile_data_set_through_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hostile families, sources, licences and files of models: imported, listed, inspected."""
    shown = [n for n in NAMES if n.isprintable() and 0 < len(n.encode()) <= 64 and n == n.strip()]
    layouts.model(tmp_path / "data/a.off", "+z", "-y")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "category", "file", "up", "front", "family", "source", "license"])
    for number, name in enumerate(shown):
        file = "a.off" if number % 2 else name
        writer.writerow(
            (f"m{number}", "chair", file, "+z", "-y", f"{number}{name}"[:60], name, name)
        )
    write(tmp_path / "data/models.csv", text.getvalue())
    place = ["--workspace", str(tmp_path / "workspace")]
    assert run(["shapes", "import", str(tmp_path / "data"), "--jobs", "1", *place]) == 1
    said = capsys.readouterr()
    lines = [["shapes", "list"], ["status"], ["inspect", "shapes/data", "--item", "chair/m1"]]
    for line in lines:
        for more in ([], ["--json"]):
            run([*line, *more, *place])
            heard = capsys.readouterr()
            said = type(said)(said.out + heard.out, said.err + heard.err)
            if more and heard.out:
                json.loads(heard.out)
    assert not active_terminal(said.out + said.err)
    assert "Traceback" not in said.err
    assert "MarkupError" not in said.err


def test_reasons_in_a_shard_of_somebody_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = fake.plan_of(tmp_path / "workspace", ["toy/a"])
    names = [name for name in NAMES if name and name != "\ud800"]
    failures = [Failure(f"toy/{n}", "0" * 32, name) for n, name in enumerate(names)]
    data = build_shard(plan.key, [], failures)
    folder = plan.artefact.folder
    write(folder / shard_name(plan.key.bucket, data), data)
    with h5py.File(io.BytesIO(data)) as file:
        assert len(file["failed_ids"]) == len(names)
    index = plan.artefact.refresh().index
    assert len(index.failures()) == len(names)
    Output().result({}, table(("id", "why"), [(i, e.reason) for i, e in index.failures().items()]))
    run(["verify", "--workspace", str(tmp_path / "workspace")])
    out, err = capsys.readouterr()
    assert not active_terminal(out + err)
