"""Runs the tests of the matrix and adds up the figures that they record, into one line to keep.

A test records `figure NAME` with `record_testsuite_property`; figures of one name are added up.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from tests.faults.command import REPOSITORY, environment

LINE = (
    "kills {kills}: damaged {damaged}, failed resumes {failed} | flips {flips}: silent {silent}, "
    "crashes {crashes}, hangs {hangs} | hostile files {hostile}: refused {refused}, foreign bytes "
    "{foreign} | poisoned items {poisoned}: innocents lost {lost} | tests failed {tests}"
)
MODULES = (
    "tests/faults",
    "tests/attacks",
    "tests/cli/test_kill.py",
    "tests/engine/test_pools.py",
    "tests/train/test_checkpoint.py",
    "tests/train/test_resume.py",
)
# in one process: the figures of several would not come together
_PYTEST = (sys.executable, "-m", "pytest", "-q", "-o", "addopts=")
_GOOD = ("kills", "flips", "hostile", "refused", "poisoned")


def summary() -> tuple[str, bool]:
    """The line, and whether nothing was lost and every hostile file was refused."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        subprocess.run(
            [*_PYTEST, f"--junitxml={report}", *MODULES],
            cwd=REPOSITORY,
            env=environment(),
            stdout=sys.stderr,
            check=False,
        )
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    found: Counter[str] = Counter()
    for suite in suites:
        found["tests"] += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        for one in suite.findall("properties/property"):
            kind, _, name = str(one.get("name")).partition(" ")
            if kind == "figure":
                found[name] += int(str(one.get("value")))
    names = {word.split("}")[0] for word in LINE.split("{")[1:]}
    lost = sum(found[name] for name in names.difference(_GOOD))
    line = LINE.format(**{name: found[name] for name in names})
    return line, not lost and found["hostile"] == found["refused"]
