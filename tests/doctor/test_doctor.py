"""The doctor: what is missing, old, broken or slow is found, named, and never fatal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from crossdim_cli.checkup import is_fine, text_of
from stages.doctor import checks as doctor
from stages.doctor import versions
from stages.doctor.checks import Check, attempt, file_system


def by_name(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


def test_the_needs_are_those_of_the_metadata() -> None:
    import importlib.metadata

    wanted = [Requirement(text) for text in importlib.metadata.requires("crossdim") or []]
    found = versions.needs()
    assert [need.name for need in found] == [one.name for one in wanted]
    for need, one in zip(found, wanted):
        assert one.specifier.contains(need.least or "0")
        assert (need.extra == "") == (one.marker is None or one.marker.evaluate({"extra": ""}))
        if need.found:
            assert need.is_met == (Version(need.found) in one.specifier)
    assert {need.extra for need in found} >= {"", "viewer", "cluster", "onnx", "tensorboard"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [("2.13.0+cpu", (2, 13, 0)), ("1.15.0rc1", (1, 15, 0)), ("", ()), ("x", ()), ("10", (10,))],
)
def test_numbers_of_a_version(text: str, parts: tuple[int, ...]) -> None:
    assert versions.numbers(text) == parts


def test_this_machine_is_fine(tmp_path: Path) -> None:
    """The real thing, in a process of its own, as a user runs it."""
    words = ["doctor", "--json", "--workspace", str(tmp_path / "none")]
    done = subprocess.run(
        [sys.executable, "-m", "crossdim_cli.start", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    told = json.loads(done.stdout)
    assert told["ok"] is True
    found = {check["name"]: check for check in told["checks"]}
    assert found["torch"]["state"] == found["HDF5"]["state"] == "ok"
    assert found["workspace"]["found"].endswith("not there yet")
    assert {"cuda", "OpenGL (EGL)", "disk", "memory", "threads", "viewer", "ffmpeg"} <= set(found)
    assert list(tmp_path.iterdir()) == []  # nothing is left of the trial


BREAKS = {
    "error": "raise ImportError('made <broken>')",
    "crash": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "exit": "raise SystemExit(3)",
    "noise": "print('hello, {'); raise RuntimeError('late')",
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (tmp_path / "breaks.py").write_text(BREAKS[how])
    monkeypatch.syspath_prepend(str(tmp_path))
    tried = attempt("imports", ["json", "breaks", "csv"], 60)
    assert tried["json"] == {"found": "imported"}
    assert "found" not in tried["breaks"]
    reason = {"error": "ImportError: made <broken>", "crash": "exit code -11"}
    reason |= {"exit": "SystemExit: 3", "noise": "RuntimeError: late"}
    assert reason[how] in tried["breaks"]["error"]
    assert ("csv" in tried) == (how != "crash")


def test_a_package_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hangs.py").write_text("import time; time.sleep(600)")
    monkeypatch.syspath_prepend(str(tmp_path))
    for seconds in (2.0, 20.0, 100.0):  # beside other load Python itself may take that long
        tried = attempt("imports", ["hangs"], seconds)
        if tried:
            break
    assert tried == {"hangs": {"error": f"took longer than {seconds:g} s"}}


def test_what_is_missing_or_old_is_bad_and_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [
        versions.Need("numpy", "2.0", "", "1.26.4"),
        versions.Need("torch", "2.10", "", ""),
        versions.Need("h5py", "3.12", "", "3.16.0"),
        versions.Need("viser", "1.1", "viewer", ""),
    ]
    monkeypatch.setattr(versions, "needs", lambda: needs)
    monkeypatch.setattr(doctor, "attempt", lambda *_: {"numpy": {"found": "imported"}})
    found = by_name([*doctor._packages(1.0), *doctor._extras()])
    assert found["numpy"].found == "1.26.4, too old (>= 2.0)"
    assert found["numpy"].mend == "run: pip install --upgrade 'numpy>=2.0'"
    assert found["torch"].found == "not installed (>= 2.10)"
    assert found["h5py"].state == "bad"  # it was not tried, as one before it failed
    assert (found["viewer"].state, found["viewer"].mend) == (
        "note",
        "run: pip install 'crossdim[viewer]'",
    )
    assert not is_fine(list(found.values()))
    assert "3 of" in text_of(list(found.values()))


def test_a_workspace_that_cannot_be_written(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("no folder")
    found = by_name(list(doctor._files(Path("/proc/nothing"), 60)))
    assert found["HDF5"].state == "bad"
    assert "--workspace" in found["HDF5"].mend
    found = by_name(list(doctor._files(place, 60)))  # a file in the way of the folder
    assert found["HDF5"].state == "ok"  # beside it there is room
    assert "not there yet" in found["workspace"].found


def test_no_check_ends_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("[red]boom\x1b[0m")

    for name in ("attempt", "file_system"):
        monkeypatch.setattr(doctor, name, broken)
    monkeypatch.setattr("stages.render.backend.gl_device", broken)
    monkeypatch.setattr("psutil.virtual_memory", broken)
    found = list(doctor.checks(tmp_path, 1.0))
    assert sum(check.found.startswith("RuntimeError") for check in found) >= 4
    assert found[-1].group == "programs"
    assert "\x1b" not in text_of(found)


Usage = namedtuple("Usage", "total used free")


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "attempt", lambda *_: {})
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10**12, 10**12 - 5, 5))
    found = by_name(list(doctor._files(tmp_path, 1.0)))
    assert (found["disk"].state, found["disk"].found) == ("note", "0.0 of 1000.0 GB free")
    assert found["HDF5"].state == "bad"


def test_the_file_system_is_that_of_the_kernel(tmp_path: Path) -> None:
    if not Path("/proc/self/mountinfo").is_file():
        pytest.skip("only Linux has /proc/self/mountinfo")
    assert file_system(Path("/proc/self")) == "proc"
    done = subprocess.run(["stat", "-f", "-c", "%T", str(tmp_path)], capture_output=True, text=True)
    name = done.stdout.strip().replace("ext2/ext3", "ext4")  # one magic number for the three
    assert file_system(tmp_path).replace("overlay", "overlayfs") in (name, "overlayfs")


@pytest.mark.parametrize("module", ["h5py", "typer", "numpy"])
def test_without_a_package_the_doctor_still_comes(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("raise ImportError('made broken')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "crossdim_cli.start"]
    words = [*command, "status"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        "error: the installation is broken: made broken",
        "run: crossdim doctor",
    ]


def test_the_doctor_says_what_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from crossdim_cli.start import broken

    bad = Check("versions", "typer", "bad", "cannot be imported", "run: pip install typer")
    monkeypatch.setattr("crossdim_cli.checkup.checks", lambda root: iter([bad]))
    assert broken(ImportError("x"), ["doctor", "-w", str(tmp_path)]) == 4
    assert "BAD typer  cannot be imported" in capsys.readouterr().out
    assert broken(ImportError("x"), ["doctor", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["ok"] is False
