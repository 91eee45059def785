"""`python -m tests.faults.command ROOT ITEMS JOBS [I/N | RAY]`: the fake stage as a command.

It ends as the command line does: two lines on stderr and the exit code of the error, 1 if items
failed, 130 on Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stages.engine.pools import Limits
from stages.engine.runner import execute
from stages.errors import CrossdimError
from tests.engine import fake

REPOSITORY = Path(__file__).parents[2]


def command_line(root: Path, items: int = 40, jobs: int = 2, part: str = "") -> list[str]:
    """What to start, in the folder of the repository."""
    line = [sys.executable, "-m", "tests.faults.command", str(root), str(items), str(jobs)]
    return [*line, part] if part else line


def environment(**more: str) -> dict[str, str]:
    """The environment to start it in: no byte code is written, hence none torn."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **more}


def ids_of(count: int) -> list[str]:
    """The items, each a fiftieth of a second."""
    return [f"toy/slow-{number:03d}" for number in range(count)]


def main(arguments: list[str]) -> int:
    """Run the stage; returns the exit code."""
    root, items, jobs, *part = arguments
    try:
        limits, slice_ = Limits(jobs=int(jobs)), None
        if part and "/" not in part[0]:
            limits = Limits(jobs=int(jobs), ray=part[0])
        elif part:
            number, count = part[0].split("/")
            slice_ = (int(number), int(count))
        plan = fake.plan_of(Path(root), ids_of(int(items)), part=slice_)
        outcome = execute(plan, fake.STAGE, fake.Params(), limits)
    except CrossdimError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
