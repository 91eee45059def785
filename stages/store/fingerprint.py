"""What an item depends on, as one short string; and the seeds and buckets that follow from ids.

An item is fresh when the fingerprint recorded beside it equals the one expected now. Time stamps
play no part.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import UsageError

_PART = re.compile(r"[A-Za-z0-9._-]{1,100}")
# names of devices on Windows, whatever follows their first dot
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
DIGEST_BYTES = 16


def digest(data: bytes | memoryview) -> str:
    """32 hex digits: BLAKE2b-128 of the bytes."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def file_digest(path: Path) -> str:
    """`digest` of the bytes of a file."""
    with path.open("rb") as file:
        hasher = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES))
    return hasher.hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def item_fingerprint(
    stage: str, version: int, params: Mapping[str, Any], seed: int, inputs: Mapping[str, str]
) -> str:
    """The fingerprint of one item: of its stage, parameters, seed and the inputs' fingerprints."""
    return digest(canonical_json([stage, version, dict(params), seed, dict(inputs)]).encode())


def item_rng(seed: int, item_id: str) -> np.random.Generator:
    """The generator of one item, whatever worker, order or slice it is processed in."""
    key = hashlib.blake2b(f"{seed}:{item_id}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(key, "little"))


def bucket_of(item_id: str, buckets: int) -> int:
    """The bucket 0 .. buckets-1 of an item, by a hash of its id."""
    key = hashlib.blake2b(item_id.encode(), digest_size=8).digest()
    return int.from_bytes(key, "little") % buckets


def bucket_count(items: int) -> int:
    """How many buckets a new artefact gets: a power of two, about 8 to 16 items in each."""
    return min(4096, 1 << max(0, (items - 1).bit_length() - 4))


def safe_name(text: str, what: str) -> str:
    """`text` if it can be one part of an id, a folder or a run name everywhere, else UsageError."""
    if is_safe_name(text):
        return text
    shown = text if len(text) <= 100 else text[:100] + "..."
    raise UsageError(
        f"{what} {shown!r} cannot be used as a name",
        "use 1 to 100 of the characters A-Z a-z 0-9 . _ -",
    )


def is_safe_name(text: str) -> bool:
    """Whether `safe_name` takes it: neither a path, an option, a temporary nor a device."""
    return (
        _PART.fullmatch(text) is not None
        and not text.startswith(("-", ".tmp"))
        and not text.endswith(".")
        and not _DEVICE.fullmatch(text)
    )
