"""R4: a signal at any phase of a command that fills an artefact, its imports included: exit code
130 or 143 in two lines, no process left, nothing damaged, and the same command goes on.

A sample; all commands, phases and signals: `python -m tests.faults --full`.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.signals import COMMANDS, PHASES, SIGNALS, Case, Workspaces, all_cases

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
SAMPLE = [
    Case("viewpoints", "listing", signal.SIGINT, 0),
    Case("viewpoints", "item", signal.SIGTERM, 0),
    Case("viewpoints", "end", signal.SIGINT, 0),
    Case("backgrounds", "commit", signal.SIGTERM, 0),
]
STARTS = [(signal.SIGINT, 0.0), (signal.SIGINT, 0.15), (signal.SIGTERM, 0.0), (signal.SIGTERM, 0.3)]


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Workspaces:
    return Workspaces(tmp_path_factory.mktemp("signals"))


@pytest.mark.parametrize("case", SAMPLE, ids=lambda c: f"{c.command}-{c.phase}-{c.number.name}")
def test_a_signal_at_a_phase_of_a_command(case: Case, workspaces: Workspaces) -> None:
    assert workspaces.finding(case) == ""


@pytest.mark.parametrize(("number", "delay"), STARTS)
def test_a_signal_while_the_program_is_imported(
    number: signal.Signals, delay: float, workspaces: Workspaces
) -> None:
    assert workspaces.start_finding("viewpoints", number, delay) == ""


def test_the_product_is_whole() -> None:
    cases = list(all_cases())
    assert len(set(cases)) == len(COMMANDS) * len(PHASES) * len(SIGNALS)
