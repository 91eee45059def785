"""How far the memory of this process grows while something runs.

`ru_maxrss` will not do: a process that was just started has that of the one that started it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

_PROC = Path("/proc/self")


def _status(field: str) -> int:
    for line in (_PROC / "status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise ValueError(field)


def growth(run: Callable[[], object]) -> int:
    """Bytes by which the resident memory rose at its highest, over what it was before (Linux)."""
    with contextlib.suppress(OSError):  # some kernels do not let the peak be reset
        (_PROC / "clear_refs").write_text("5")
    before = _status("VmRSS")
    run()
    return max(0, _status("VmHWM") - before)
