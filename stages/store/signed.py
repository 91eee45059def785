"""JSON files with a digest: a bit that flips in one is noticed, as in everything else that is kept.

The second line is the sha256 of all that follows it, so it covers each byte. Files of a
`format_version` before the digest have none, and are read as they are; one of today without it is
damaged.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stages.store.texts import MOST_BYTES, TextError, json_of, read_whole

_SIGNED = re.compile(rb'\{\n "sha256": "([0-9a-f]{64})",\n')
_WRONG = "is damaged: its content does not match its sha256"


def signed(text: bytes) -> bytes:
    """The bytes of a JSON object, which begins with a line of its own, with its digest in front."""
    body = text.removeprefix(b"{\n")
    if body == text:
        raise ValueError("no JSON object with a line for each key")
    return b'{\n "sha256": "%s",\n' % hashlib.sha256(body).hexdigest().encode() + body


def read_signed(path: Path, since: int, most: int = MOST_BYTES) -> dict[str, Any]:
    """The object in a file, as it was written, without its digest.

    `since` is the first format version with one. Raises TextError, and OSError as `read_whole`.
    """
    data = read_whole(path, most)
    found = json_of(data)
    if not isinstance(found, dict):
        raise TextError("is no JSON object")
    if "sha256" in found or _version(found) >= since:
        head = _SIGNED.match(data)
        if head is None or hashlib.sha256(data[head.end() :]).hexdigest().encode() != head[1]:
            raise TextError(_WRONG)
        del found["sha256"]
    return found


def damaged(paths: Iterable[Path], since: int) -> dict[Path, str]:
    """Which of these files are not as they were written, and why."""
    problems = {}
    for path in paths:
        try:
            read_signed(path, since)
        except TextError as error:
            problems[path] = f"it {error}"
        except OSError as error:
            problems[path] = f"it cannot be read: {error.strerror}"
    return problems


def _version(found: Mapping[str, Any]) -> float:
    version = found.get("format_version")
    return version if isinstance(version, int | float) else 0
