"""Turntables: the frames that the rasteriser draws, and files that other programs open."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossdim_cli.main import run as run_command
from stages.errors import CrossdimError, EnvironmentLacks, UsageError
from stages.export.files import mesh_bytes
from stages.export.pictures import STANDARD
from stages.export.turntable import Turn, check, frame_times, turntable, turntable_bytes
from stages.geometry.cameras import DISTANCE
from stages.geometry.mesh import Mesh
from stages.render import Params as RenderParams
from stages.render.views import render_views
from tests.shapes.generated import mesh

TURN = Turn(frames=6, elevation_deg=10.0, size=48, seconds=0.6)


@pytest.fixture(scope="module")
def chair() -> Mesh:
    return mesh("chair", 0)


@pytest.fixture(scope="module")
def frames(chair: Mesh) -> np.ndarray:
    return turntable(chair, TURN)


def opened(data: bytes) -> list[np.ndarray]:
    with Image.open(io.BytesIO(data)) as file:
        found = []
        for number in range(file.n_frames):
            file.seek(number)
            found.append(np.asarray(file.convert("RGB")))
        return found


def test_frames_are_views_evenly_around(chair: Mesh, frames: np.ndarray) -> None:
    for number in (0, 4):
        view = np.array([[STANDARD[0] + 60 * number, 10, 0, DISTANCE]])
        wanted = render_views(chair, view, RenderParams(size=48, backend="numba"))["rgb"][0]
        assert np.array_equal(frames[number], wanted)
    assert not np.array_equal(frames[0], frames[3])


def test_gif(frames: np.ndarray) -> None:
    data = turntable_bytes(frames, ".gif", TURN.seconds)
    found = opened(data)
    assert len(found) == 6
    for told, true in zip(found, frames):
        behind = (true == 255).all(-1)
        assert (told[behind] == 255).all()  # not a spot on the background
        assert np.abs(told.astype(int) - true).mean() < 4  # 255 colours for all frames
    with Image.open(io.BytesIO(data)) as file:
        assert (file.info["loop"], file.info["duration"]) == (0, 100)


def test_webp(frames: np.ndarray) -> None:
    found = opened(turntable_bytes(frames, ".webp", TURN.seconds))
    assert len(found) == 6
    for told, true in zip(found, frames):
        assert np.abs(told.astype(int) - true).mean() < 8  # lossy, and colours at half the size


def test_times_add_up() -> None:
    assert sum(frame_times(36, 3.0, 10)) == 3000
    assert set(frame_times(36, 3.0, 10)) == {80, 90}
    assert min(frame_times(100, 0.1, 10)) == 20  # what viewers do not slow down


def test_mp4_without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentLacks, match="ffmpeg") as error:
        check(Path("a.mp4"), TURN)
    assert error.value.exit_code == 4
    with pytest.raises(UsageError, match="odd"):
        check(Path("a.mp4"), Turn(size=47))
    with pytest.raises(UsageError, match="cannot write"):
        check(Path("a.avi"), TURN)


def test_mp4_is_what_ffmpeg_makes_of_the_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: np.ndarray
) -> None:
    """A stand-in for ffmpeg gives back what it is given; with no answer it is an error."""
    program = tmp_path / "ffmpeg"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program.write_text('#!/bin/sh\necho "$@"\ncat\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    check(Path("a.mp4"), TURN)
    line, _, piped = turntable_bytes(frames, ".mp4", TURN.seconds).partition(b"\n")
    assert piped == frames.tobytes()
    for words in (b"-s 48x48 -r 10.0", b"-pix_fmt rgb24", b"pipe:0", b"-f mp4 pipe:1"):
        assert words in line
    program.write_text("#!/bin/sh\ncat >/dev/null\necho no such codec >&2\nexit 1\n")
    with pytest.raises(CrossdimError, match="no such codec"):
        turntable_bytes(frames, ".mp4", TURN.seconds)


def test_a_mesh_file_is_turned_as_its_axes_say(
    tmp_path: Path, chair: Mesh, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chair.glb").write_bytes(mesh_bytes(chair, ".glb"))
    line = f"export turntable {tmp_path}/t.gif --mesh {tmp_path}/chair.glb --up +y --front +z"
    assert run_command([*f"{line} --frames 2 --size 48 --elevation-deg 10".split()]) == 0
    assert "chair.glb, 2 frames of 48 pixels" in capsys.readouterr().out
    wanted = turntable(chair, Turn(frames=2, elevation_deg=10, size=48))
    for told, true in zip(opened((tmp_path / "t.gif").read_bytes()), wanted):
        # glTF's colours are linear, and its faces have their colours one by one
        covered = [(one < 250).any(-1) for one in (told, true)]
        assert (covered[0] == covered[1]).mean() > 0.99
    (tmp_path / "bad.glb").write_bytes(b"glTF nothing")
    assert run_command(f"export turntable {tmp_path}/t.gif --mesh {tmp_path}/bad.glb".split()) == 3
    assert "bad.glb" in capsys.readouterr().err
