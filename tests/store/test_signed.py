"""Digests of single JSON files: what was written is read; what was changed, by a bit or by hand, is
refused; what older programs wrote without one is read as before.
"""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest

from crossdim_cli.main import run as run_command
from stages.errors import InputError
from stages.skeletons import template
from stages.store import summary as kept
from stages.store.signed import read_signed, signed
from stages.store.texts import TextError, read_whole
from stages.store.workspace import Workspace
from stages.viewpoints import fitted

TEXT = b'{\n "format_version": 2,\n "a": [1, 2.5]\n}\n'


def test_the_digest_is_of_every_byte_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(signed(TEXT))
    assert read_signed(path, 2) == {"format_version": 2, "a": [1, 2.5]}
    lines = path.read_bytes().split(b"\n", 2)
    assert json.loads(path.read_bytes())["sha256"] == hashlib.sha256(lines[2]).hexdigest()
    path.write_bytes(path.read_bytes().replace(b"2.5", b"2.50"))  # the same number
    with pytest.raises(TextError, match="does not match its sha256"):
        read_signed(path, 2)


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        signed(TEXT).replace(b'"sha256"', b'"sha257"'),
        signed(TEXT).replace(b" 2,", b" 1,"),
        signed(TEXT) + b"\n",
        TEXT.replace(b'"a"', b'"sha256"'),
    ],
)
def test_one_of_today_without_a_digest_of_its_own_is_damaged(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(TextError, match="is damaged"):
        read_signed(path, 2)


def test_files_of_before_are_read_as_before(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for name in ("viewpoints", "templates", "results/reconstruction/a"):
        (tmp_path / name).mkdir(parents=True)
    old = template.to_bytes(template.load("chair", workspace)).split(b"\n", 2)[2]
    text = b"{\n" + old.replace(b'"format_version": 2', b'"format_version": 1')
    template.path_in(workspace, "mine").write_bytes(text)
    assert template.load("mine", workspace).name == "chair"
    shipped = Path(fitted.__file__).with_name("pascal3d.json").read_bytes()
    assert json.loads(shipped)["format_version"] == 1
    fitted.path_in(workspace, "mine").write_bytes(shipped)
    assert fitted.table("mine", "car", workspace)["n"] > 0
    path = tmp_path / "results/reconstruction/a/summary.json"
    path.write_text('{"threshold": 0.25}')
    assert kept.read_summary(path) == {"threshold": 0.25}


def test_verify_names_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace(tmp_path)
    paths = {
        "templates/mine.json": template.to_bytes(template.load("chair", workspace)),
        "viewpoints/mine.json": fitted.to_bytes(fitted.load("pascal3d", workspace)),
        "results/reconstruction/a/summary.json": kept.summary_bytes({"threshold": 0.25}),
    }
    words = ["verify", "--json", "--workspace", str(tmp_path)]
    for name, data in paths.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(data)
    assert run_command(words) == 0
    assert json.loads(capfd.readouterr().out)["files"] == 3
    for name, data in paths.items():
        (tmp_path / name).write_bytes(data[:-3] + bytes([data[-3] ^ 0x80]) + data[-2:])
    assert run_command(words) == 1
    assert set(json.loads(capfd.readouterr().out)["damaged"]) == set(paths)
    for load in (template.load, fitted.load):
        with pytest.raises(InputError, match=r"mine\.json") as error:
            load("mine", workspace)
        assert "make it again: crossdim" in error.value.hint


def test_reading_takes_the_memory_of_the_file_not_of_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"x" * 1000)
    tracemalloc.start()
    assert read_whole(path, 1 << 33) == b"x" * 1000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
