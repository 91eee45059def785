"""`python -m tests.faults` prints one line of what the sweep over all faults found.

`--json` prints all of it; the exit code is 1 if anything was found.
"""

from __future__ import annotations

import dataclasses
import json
import sys

from tests.faults.harness import sweep

if __name__ == "__main__":
    report = sweep()
    print(json.dumps(dataclasses.asdict(report)) if "--json" in sys.argv else report.line())
    sys.exit(bool(report.damaged or report.failed_resumes or report.misbehaved))
