"""Parts of the work for array jobs: `--slice i/n`, and lists of numbers as schedulers take them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from stages.errors import UsageError

# Where schedulers say which task of an array this is: SLURM, Kubernetes indexed jobs, PBS.
_TASK_VARIABLES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "PBS_ARRAY_INDEX")


def slice_of(text: str) -> tuple[int, int] | None:
    """`--slice` as (i, n) with 0 <= i < n, None for "".

    `i/n` says both, `auto/n` takes i from the scheduler, and `auto` takes n as well, which only
    SLURM tells. Raises UsageError where they cannot be had.
    """
    if not text:
        return None
    part, _, count = text.partition("/")
    if text == "auto":
        part, count = _slurm()
    elif part == "auto":
        part = _task()
    try:
        slice_ = int(part), int(count)
    except ValueError:
        raise UsageError(f"--slice {text} is not i/n", "for example --slice 0/8") from None
    if not 0 <= slice_[0] < slice_[1]:
        raise UsageError(
            f"--slice {text} is out of range: {slice_[0]}/{slice_[1]}", "i runs from 0 to n-1"
        )
    return slice_


def _task() -> str:
    for name in _TASK_VARIABLES:
        if name in os.environ:
            return os.environ[name]
    raise UsageError(f"--slice auto found none of {', '.join(_TASK_VARIABLES)}", "use --slice i/n")


def _slurm() -> tuple[str, str]:
    """The task and the size of a SLURM array without holes."""
    values = [os.environ.get(f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "MAX", "COUNT")]
    if values[0] is None or values[3] is None:
        raise UsageError("--slice auto found no SLURM_ARRAY_TASK_ID", "use --slice i/n")
    try:
        number, first, last, count = (int(value or 0) for value in values)
    except ValueError:
        raise UsageError("SLURM_ARRAY_TASK_* are no numbers", "use --slice i/n") from None
    if values[2] is not None and last - first + 1 != count:
        raise UsageError(
            f"this array has {count} tasks between {first} and {last}: not a slice each",
            "say into how many parts the work is cut: --slice auto/n",
        )
    return str(number - first), str(count)


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers as `sbatch --array` takes them: `0-3,7,9-12`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{a}-{b}" if a < b else str(a) for a, b in runs)
