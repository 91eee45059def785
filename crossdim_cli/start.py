"""Where the program begins: with a broken installation, it still says what is broken.

This module imports nothing but the standard library before it knows that the rest can be imported,
and little of that before it listens to signals.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence

from crossdim_cli import signals


def main() -> None:
    """Run the command line; never returns."""
    signals.leave_at_once()
    try:
        from crossdim_cli.main import main as whole

        whole()
    except ImportError as error:
        sys.exit(broken(error, sys.argv[1:]))


def broken(error: ImportError, arguments: Sequence[str]) -> int:
    """What is left of crossdim without some package: the doctor; the exit code, 4."""
    from crossdim_cli.checkup import checkup

    if "doctor" in arguments:
        text, ok = checkup(_workspace(arguments), "--json" in arguments)
        sys.stdout.write(text + "\n")
        return 0 if ok else 4
    reason = " ".join(str(error).split())[:300]
    sys.stderr.write(f"error: the installation is broken: {reason}\nrun: crossdim doctor\n")
    return 4


def _workspace(arguments: Sequence[str]) -> str:
    for flag, value in itertools.pairwise(arguments):
        if flag in ("--workspace", "-w"):
            return value
    return os.environ.get("CROSSDIM_WORKSPACE", "crossdim-data")


if __name__ == "__main__":
    main()
