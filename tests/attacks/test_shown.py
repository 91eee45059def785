"""S8: names of others are inert where they are shown or written: terminal, CSV, JSON, logs.

Pages of HTML have tests beside their makers, with the same names.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from crossdim_cli.main import run
from crossdim_cli.output import printable
from stages.errors import CrossdimError
from stages.evaluate.tables import Table, to_csv, to_json
from stages.export.codes import Codes, codes_bytes
from stages.export.tsne import Plane, plane_csv
from stages.store.cells import text_cell
from tests.attacks.names import NAMES, active_cell, active_terminal
from tests.shapes import layouts
from tests.shapes.import_models import write


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
