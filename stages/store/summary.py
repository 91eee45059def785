"""summary.json of an evaluation: its tables, and facts that others read back, as the threshold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.store.signed import read_signed, signed

SUMMARY = "summary.json"
FORMAT = "crossdim-summary"
FORMAT_VERSION = 2  # those before had no digest, and no version


def summary_bytes(summary: Mapping[str, Any]) -> bytes:
    """The bytes of the file."""
    record = {"format": FORMAT, "format_version": FORMAT_VERSION, **summary}
    return signed((json.dumps(record, indent=1) + "\n").encode())


def read_summary(path: Path) -> dict[str, Any]:
    """What was kept; TextError, a ValueError, or OSError for a file that cannot be relied on."""
    found = read_signed(path, FORMAT_VERSION)
    return {k: v for k, v in found.items() if k not in ("format", "format_version")}
