"""Which renderer draws: pyrender on a real graphics device, else the rasteriser."""

from __future__ import annotations

import functools
import glob
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stages.errors import EnvironmentLacks

if TYPE_CHECKING:
    from stages.render.surface import Shot, Surface

SOFTWARE = ("llvmpipe", "softpipe", "swrast", "swiftshader", "software rasterizer")
# What a graphics driver shows of itself on Linux, in WSL and for NVIDIA in a container.
DEVICE_FILES = ("/dev/dri/renderD*", "/dev/nvidia[0-9]*", "/dev/dxg")
# A driver may print, hang or kill the process that asks: so another one asks.
PROBE = "import sys; from stages.render import gl; sys.stdout.write('\\nGL=' + gl.device())"
PROBE_SECONDS = 60


class Scene(Protocol):
    """What both renderers offer; see `raster.Scene`."""

    def __init__(self, surface: Surface) -> None: ...

    def shoot(self, shot: Shot) -> tuple[np.ndarray, np.ndarray]: ...


@functools.cache
def gl_device() -> str:
    """The name of the device that OpenGL draws on through EGL, "" where that does not work."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", PROBE]
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=PROBE_SECONDS
        )
    except (subprocess.TimeoutExpired, OSError):
        return ""
    return done.stdout.rpartition("\nGL=")[2].strip() if done.returncode == 0 else ""


def is_software(device: str) -> bool:
    """Whether a device of this name computes on the CPU, where the rasteriser is faster."""
    return any(name in device.lower() for name in SOFTWARE)


def choose(wanted: str) -> str:
    """`numba` or `pyrender` for a wish that may also be `auto`.

    Raises EnvironmentLacks where pyrender is asked for and OpenGL does not work.
    """
    if wanted == "pyrender" and not gl_device():
        raise EnvironmentLacks(
            "--backend pyrender needs OpenGL through EGL, which does not start here",
            "install a driver (Debian: libegl1 libgl1-mesa-dri) or use --backend numba",
        )
    if wanted != "auto":
        return wanted
    if not any(glob.glob(pattern) for pattern in DEVICE_FILES):
        return "numba"
    return "pyrender" if gl_device() and not is_software(gl_device()) else "numba"


def scene_class(name: str) -> type[Scene]:
    """The class that draws, of a backend that `choose` named."""
    if name == "pyrender":
        from stages.render import gl

        return gl.Scene
    from stages.render import raster

    return raster.Scene
