"""Bad input: two lines that say what is wrong and what mends it, the exit code, nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crossdim_cli.main import run
from tests.cli.conftest import Crossdim

SECONDS = 60


def check(result, code: int, message: str, hint: str) -> None:  # type: ignore[no-untyped-def]
    lines = result.err.splitlines()
    assert (result.code, result.out, len(lines)) == (code, "", 2), result
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert hint in lines[1]


@pytest.mark.parametrize(
    ("line", "code", "message", "hint"),
    [
        ("voxelize --res 0", 2, "--res", "run: crossdim voxelize --help"),
        ("voxelize --res 5000", 4, "res 5000 needs about", "use --res"),
        ("voxelize --category lamp", 2, "no category 'lamp'", "there are: chair"),
        ("voxelize --category chairs", 2, "no category 'chairs'", "did you mean chair?"),
        ("voxelize --fill solids", 2, "--fill", "run: crossdim voxelize --help"),
        ("voxelise", 2, "No such command 'voxelise'", "run: crossdim --help"),
        ("voxelize --source nowhere", 3, "no shapes/nowhere", "crossdim shapes generate"),
        ("voxelize --slice 3/2", 2, "--slice 3/2 is out of range", "i runs from 0 to n-1"),
        ("render --supersample 2", 2, "--supersample 2 is even", "use 1, 3, 5"),
        ("render --views 3", 2, "--views does nothing", "use --viewpoints uniform"),
        ("shapes import nowhere", 3, "nowhere does not exist", "name the folder"),
        ("train pose-aware --gpu 7", 4, "7", ""),
        ("train pose-aware --gpu 0 --device cpu", 2, "--gpu", ""),
        ("train pose-aware --voxels other", 3, "no voxels at res 32", "crossdim voxelize --res 32"),
        ("train pose-aware --batch 3 --name run --steps 4", 2, "batch", "--fresh"),
        ("eval reconstruction --run nobody", 3, "no run nobody", "crossdim train pose-aware"),
        ("eval reconstruction --category lamp", 3, "no finished run", "crossdim train"),
        ("export mesh out.xyz", 2, "cannot write mesh as '.xyz'", "use one of .obj"),
        ("export mesh out.obj --shape chair/x", 2, "no chair/x", ""),
        ("export mesh out.obj --view 99", 2, "has 4 views", "use --view 0 to 3"),
        ("export mesh no/where.obj", 3, "no folder no", "mkdir -p no"),
        ("verify voxels/res99", 3, "no artefact voxels/res99", "run: crossdim status"),
        ("status -c nowhere.toml", 2, "no configuration file nowhere.toml", ""),
    ],
)
def test_two_lines(
    crossdim: Crossdim, pipeline: Path, line: str, code: int, message: str, hint: str
) -> None:
    before = sorted((p, p.stat().st_size) for p in pipeline.rglob("*") if p.suffix != ".lock")
    check(crossdim(line, pipeline), code, message, hint)
    after = sorted((p, p.stat().st_size) for p in pipeline.rglob("*") if p.suffix != ".lock")
    assert before == after


@pytest.mark.parametrize("line", ["voxelize", "render", "train pose-aware", "shapes list"])
def test_a_missing_input_names_the_command(crossdim: Crossdim, tmp_path: Path, line: str) -> None:
    result = crossdim(line, tmp_path / "empty")
    assert result.code == 3
    assert "run: crossdim " in result.err.splitlines()[1]
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("damage", ["truncated", "foreign", "text"])
def test_a_damaged_shard_is_named_and_healed(
    crossdim: Crossdim, pipeline: Path, tmp_path: Path, damage: str
) -> None:
    root = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    shard = next((root / "voxels" / "res32").glob("shard-*.h5"))
    whole = shard.read_bytes()
    if damage == "foreign":
        other = next((root / "shapes" / "generated").glob("shard-*.h5"))
        stranger = shard.parent / other.name
        shutil.copy(other, stranger)
        result = crossdim("train pose-aware --preset tiny", root)
        check(result, 3, stranger.name, "")
        stranger.unlink()
        return
    shard.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"not a shard\n")
    result = crossdim("train pose-aware --preset tiny", root)
    check(result, 3, shard.name, "make voxels/res32 again")
    assert crossdim("voxelize --jobs 0 -q", root).code == 0
    assert shard.read_bytes() == whole


def test_a_checkpoint_of_another_system(crossdim: Crossdim, pipeline: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    shutil.rmtree(root / "results")
    best = root / "runs/pose-aware/run/checkpoints/best.json"
    best.write_text(best.read_text().replace('"pose-aware"', '"other-one"'))
    result = crossdim("eval reconstruction -q", root)
    assert result.code == 3
    assert len(result.err.splitlines()) == 2


def test_a_mesh_that_is_a_text_file_fails_alone(crossdim: Crossdim, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "good.off").write_text(
        "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
    )
    (data / "bad.obj").write_text("Dear reader,\nthis is a letter.\n")
    (data / "models.csv").write_text(
        "id,category,file,up,front\ngood,thing,good.off,+z,-y\nbad,thing,bad.obj,+z,-y\n"
    )
    result = crossdim("shapes import data --jobs 1 -q", tmp_path / "workspace")
    assert result.code == 1
    assert result.out == "shapes/data: 1 items, 1 made now, 0 were fresh, 1 failed\n"
    assert result.err.startswith("failed thing/bad: ")
    again = crossdim("shapes import data --jobs 1 -q", tmp_path / "workspace")
    assert again.out == "shapes/data: 1 items, 0 made now, 1 were fresh, 1 failed\n"


def test_the_configuration_file(crossdim: Crossdim, pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "crossdim.toml").write_text("[voxelize]\nres = 16\n")
    assert "voxels/res16: would make 8" in crossdim("voxelize -n", pipeline).out
    assert "voxels/res24: would make 8" in crossdim("voxelize -n --res 24", pipeline).out
    lines = crossdim("voxelize --print-config --fill solid", pipeline).out.splitlines()
    shown = {line.split()[0]: line.split()[-2:] for line in lines}
    assert shown["res"] == ["configuration", "file"]
    assert shown["fill"] == ["command", "line"]
    assert shown["fit"][-1] == "default"
    for text, message, hint in (
        ("[voxelize]\nrez = 16\n", "unknown 'rez' in [voxelize]", "did you mean res?"),
        ("[voxelise]\nres = 16\n", "unknown [voxelise]", "did you mean voxelize?"),
        ("[voxelize\n", "cannot read crossdim.toml", "it must be TOML"),
        ("[voxelize]\nres = 'many'\n", "--res", "run: crossdim voxelize --help"),
    ):
        (tmp_path / "crossdim.toml").write_text(text)
        check(crossdim("voxelize -n", pipeline), 2, message, hint)


def start(line: str, root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "crossdim_cli.main", *line.split(), "--workspace", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # started in the background of a script, this process may have been told to ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_loses_nothing(
    crossdim: Crossdim, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    root = tmp_path / "workspace"
    assert crossdim("shapes generate --count 40 --category table --jobs 0 -q", root).code == 0
    line = "render --viewpoints uniform --views 30 --size 128 --jobs 2"
    process = start(line, root)
    folder = root / "views" / "uniform30-128px"
    deadline = time.monotonic() + SECONDS
    while not list(folder.glob("shard-*.h5")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, number)  # the leader alone, as a job manager would
    began = time.monotonic()
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == code
    assert time.monotonic() - began < 5
    assert err.decode().splitlines()[-1] == "run the same command again to go on"
    kept = {p.name for p in folder.glob("shard-*.h5")}
    assert kept
    assert not list(folder.glob(".tmp-*"))
    assert crossdim(line + " -q", root).code == 0
    assert kept <= {p.name for p in folder.glob("shard-*.h5")}
    assert crossdim("verify", root).code == 0


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("status --graph", "run: crossdim status --help"),
        ("shapes generate --count", "run: crossdim shapes generate --help"),
        ("--graph", "run: crossdim --help"),
    ],
)
def test_an_option_without_its_value_names_its_command(
    capsys: pytest.CaptureFixture[str], line: str, hint: str
) -> None:
    assert run(line.split()) == 2
    assert capsys.readouterr().err.splitlines()[1] == hint
