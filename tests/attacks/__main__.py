"""`python -m tests.attacks` prints what came of every hostile file, row by row, as Markdown.

Exit code 1 if a file was accepted, a byte came out of another file, or a process died.
"""

from __future__ import annotations

import sys

from tests.attacks.figures import file_rows

if __name__ == "__main__":
    rows = file_rows()
    print("| row | hostile files | refused | foreign bytes | what else |")
    print("|---|---:|---:|---:|---|")
    for row in rows:
        print(f"| {row.name} | {row.files} | {row.refused} | {row.foreign} | {row.more} |")
    bad = [row for row in rows if row.must_refuse and row.files != row.refused]
    sys.exit(bool(bad) or any(row.foreign or row.died for row in rows))
