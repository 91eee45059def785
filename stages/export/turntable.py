"""A shape on a turntable: GIF, WebP, or MP4 where ffmpeg is."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from stages.errors import CrossdimError, EnvironmentLacks, UsageError
from stages.export.animation import palette_gif
from stages.export.pictures import STANDARD
from stages.geometry.cameras import DISTANCE
from stages.geometry.mesh import Mesh
from stages.render import Params as RenderParams
from stages.render.views import render_views

SUFFIXES = (".gif", ".webp", ".mp4")
_SECONDS = 120  # that ffmpeg may take


@dataclass(frozen=True)
class Turn:
    """How the shape is turned and seen."""

    frames: int = 36  # of a full turn
    elevation_deg: float = 25.0
    size: int = 256  # pixels a side
    seconds: float = 3.0  # of a full turn
    grey: int = 255  # of the background

    def viewpoints(self) -> np.ndarray:
        """(frames, 4) viewpoints, evenly around, from the front left on."""
        azimuth = STANDARD[0] + 360.0 * np.arange(self.frames) / self.frames
        rest = np.array([self.elevation_deg, 0, DISTANCE])
        return np.column_stack([azimuth, np.tile(rest, (self.frames, 1))])


def check(path: Path, turn: Turn) -> None:
    """UsageError for a kind of file that is not known, EnvironmentLacks for MP4 without ffmpeg."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"cannot write a turntable as {path.suffix or path.name!r}",
            f"use one of {', '.join(SUFFIXES)}",
        )
    if suffix == ".mp4":
        if turn.size % 2:
            raise UsageError(f"--size {turn.size} is odd: MP4 has even sizes", "use an even --size")
        if shutil.which("ffmpeg") is None:
            raise EnvironmentLacks(
                "MP4 needs the program ffmpeg, which is not here",
                "install it (Debian: apt install ffmpeg), or write .gif or .webp",
            )


def turntable(mesh: Mesh, turn: Turn) -> np.ndarray:
    """(frames, size, size, 3) uint8 pictures of a mesh in the canonical frame."""
    params = RenderParams(size=turn.size, grey=turn.grey, backend="numba")
    return render_views(mesh, turn.viewpoints(), params)["rgb"]


def turntable_bytes(pictures: np.ndarray, suffix: str, seconds: float) -> bytes:
    """Pictures (N, S, S, 3) as a GIF, a WebP or an MP4 that takes so long; the first two repeat."""
    if suffix.lower() == ".mp4":
        return _mp4(pictures, len(pictures) / seconds)
    images = [Image.fromarray(one) for one in pictures]
    times = frame_times(len(images), seconds, 10 if suffix.lower() == ".gif" else 1)
    if suffix.lower() == ".gif":
        return palette_gif(images, times)
    buffer = io.BytesIO()
    images[0].save(
        buffer, "WEBP", save_all=True, append_images=images[1:], duration=times, loop=0, quality=85
    )
    return buffer.getvalue()


def frame_times(count: int, seconds: float, step: int) -> list[int]:
    """`count` durations in ms, multiples of `step`, that add up to `seconds` as nearly as can be.

    GIF counts in hundredths of a second; viewers slow down what is shorter than two of them.
    """
    edges = [round(1000 * seconds * n / count / step) * step for n in range(count + 1)]
    return [max(2 * step, after - before) for before, after in pairwise(edges)]


def _mp4(pictures: np.ndarray, rate: float) -> bytes:
    """H.264 in MP4 by ffmpeg, through pipes: nothing is written but what is returned."""
    height, width = pictures.shape[1:3]
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {rate:.6f} -i pipe:0"
    made = "-c:v libx264 -pix_fmt yuv420p -movflags frag_keyframe+empty_moov -f mp4 pipe:1"
    command = ["ffmpeg", "-v", "error", *source.split(), *made.split()]
    try:
        done = _piped(command, np.ascontiguousarray(pictures).tobytes())
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CrossdimError(f"ffmpeg failed: {error}", "write .gif or .webp") from error
    if done.returncode or not done.stdout:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise CrossdimError(f"ffmpeg failed: {lines[-1][:200]}", "write .gif or .webp")
    return done.stdout


def _piped(command: Sequence[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False)
