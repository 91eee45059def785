"""`python -m tests.faults` prints one line of what kills, flips, hostile files and poison did.

`--sweep` only makes the sweep over all faults at all steps; `--json` prints all that it found. The
exit code is 1 if anything was lost, silent, or got through.
"""

from __future__ import annotations

import dataclasses
import json
import sys

from tests.faults.harness import sweep

if __name__ == "__main__":
    if "--sweep" in sys.argv or "--json" in sys.argv:
        report = sweep()
        print(json.dumps(dataclasses.asdict(report)) if "--json" in sys.argv else report.line())
        sys.exit(bool(report.damaged or report.failed_resumes or report.misbehaved))
    from tests.faults.summary import summary

    line, is_clean = summary()
    print(line)
    sys.exit(not is_clean)
