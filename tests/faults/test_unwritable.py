"""R6: a folder in which nothing can be written is said to be one before any work is done."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from stages.engine.pools import Limits
from stages.engine.runner import Progress, execute
from stages.errors import CrossdimError
from tests.engine import fake

_DONE, _REFUSED, _WORKED = 0, 3, 4
_NOBODY = 65534


def _run_as_nobody(root: Path) -> int:
    """The exit code of a run in a child that has no rights beyond those of others."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(_NOBODY)
                os.setuid(_NOBODY)
            seen: list[Progress] = []
            plan = fake.plan_of(root, ["toy/a"])
            try:
                execute(plan, fake.STAGE, fake.Params(), Limits(jobs=0), seen.append)
                code = _DONE
            except CrossdimError as error:
                said = f"{error} {error.hint}"
                right = str(root) in said and "make the workspace writable" in said
                code = _WORKED if seen else _REFUSED if right else 98
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_before_any_work() -> None:
    root = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    try:
        folder = fake.artefact_of(root).folder
        folder.mkdir(parents=True)
        for path in (root, folder.parent):
            path.chmod(0o755)
        folder.chmod(0o555)
        assert _run_as_nobody(root) == _REFUSED
        folder.chmod(0o777)
        assert _run_as_nobody(root) == _DONE
    finally:
        folder.chmod(0o755)
        shutil.rmtree(root)
