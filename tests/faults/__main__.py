"""`python -m tests.faults` prints one line to keep of all faults; the exit code is 1 for a finding.

`--json` prints what the sweep over the steps of commits found, and no more is done. `--full` sends
signals at every phase of every command instead (`tests.faults.signals`), a quarter of an hour.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import sys
import tempfile
from pathlib import Path

from tests.faults import flips
from tests.faults.faulty_os import DEADLY
from tests.faults.harness import Report, sweep

FLIPS, CUTS = 200, 60  # of each kind of file
INNOCENT = 196


def flipped() -> tuple[str, bool]:
    """Bits flipped and files cut, in all kinds of files."""
    with tempfile.TemporaryDirectory() as name:
        files = flips.make(Path(name)).values()
        questions = [q for path in files for q in flips.flips(path, FLIPS)]
        questions += [q for path in files for q in flips.cuts(path, CUTS)]
        count = len(questions)
        found = flips.ask(Path(name), questions)

    def those(*words: str) -> int:
        return sum(n for answer, n in found.items() if answer.startswith(words))

    crashes, hangs = those("crash", "died"), those("hang")
    silent = count - found["noticed"] - crashes - hangs
    text = f"flips {count}: silent {silent}, crashes {crashes}, hangs {hangs}"
    return text, found["noticed"] == count


def hostile() -> tuple[str, bool]:
    """The files of tests/attacks, where that is there."""
    if importlib.util.find_spec("tests.attacks") is None:
        return "hostile files: not counted", True
    attacks = importlib.import_module("tests.attacks")
    if not hasattr(attacks, "count"):
        return "hostile files: not counted", True
    files, refused, foreign = attacks.count()
    text = f"hostile files {files}: refused {refused}, foreign bytes {foreign}"
    return text, refused == files and not foreign


def poisoned() -> tuple[str, bool]:
    """Items that crash, hang, eat memory or end their process, among innocent ones."""
    from tests.engine import fake

    innocent = [f"toy/{number:03d}" for number in range(INNOCENT)]
    bad = ["toy/crash", "toy/hang", "toy/eat", "toy/exit"]
    with tempfile.TemporaryDirectory() as name:
        limits = {"jobs": 2, "seconds": 4.0, "memory_gib": 1.0}
        outcome = fake.run(Path(name), innocent + bad, **limits)
        lost = INNOCENT - len(fake.artefact_of(Path(name)).index.items())
    right = set(outcome.failures) == set(bad) and not lost
    text = f"poisoned items {len(bad)}/{INNOCENT + len(bad)}: innocents lost {lost}"
    return text, right


def killed() -> tuple[str, bool]:
    """All faults at all steps of commits, and what is a kill of them."""
    report = sweep()
    kills = sweep_kills(report)
    text = f"kills {kills}: damaged {len(report.damaged)}"
    text += f", failed resumes {len(report.failed_resumes)}"
    return text, not (report.damaged or report.failed_resumes or report.misbehaved)


def signalled() -> tuple[str, bool]:
    """Signals at every phase of every command that fills an artefact, and while it is imported."""
    from tests.faults import signals

    with tempfile.TemporaryDirectory() as name:
        workspaces = signals.Workspaces(Path(name))
        found = [workspaces.finding(case) for case in signals.all_cases()]
        found += [workspaces.start_finding(*start) for start in signals.all_starts()]
    wrong = [one for one in found if one]
    print("\n".join(wrong), file=sys.stderr)
    return f"signals {len(found)}: findings {len(wrong)}", not wrong


def sweep_kills(report: Report) -> int:
    """How many of the faults that were met were kills, torn writes or power cuts."""
    return sum(n for mode, n in report.modes.items() if mode in DEADLY)


def main() -> int:
    """Print the line; returns the exit code."""
    if "--json" in sys.argv:
        report = sweep()
        print(json.dumps(dataclasses.asdict(report)))
        return int(bool(report.damaged or report.failed_resumes or report.misbehaved))
    whole = "--full" in sys.argv
    parts = [signalled()] if whole else [killed(), flipped(), hostile(), poisoned()]
    print(" | ".join(text for text, _ in parts))
    return int(not all(right for _, right in parts))


if __name__ == "__main__":
    sys.exit(main())
