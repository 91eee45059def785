"""`python -m benchmarks.fuzz [--minutes 45] [--target obj ...] [--seed 0] [--keep FOLDER]`.

A session of fuzzing over everything that is read of files of others; what it found in the sessions
so far is in docs/security.md. The harness, and what it reads, are `tests.attacks.fuzz`,
`tests.attacks.mutate` and `tests.attacks.targets`.
"""

from __future__ import annotations

import sys

from tests.attacks.fuzz import main, serve

if __name__ == "__main__":
    sys.exit(serve() if sys.argv[1:2] == ["--serve"] else main())
