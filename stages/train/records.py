"""What a record of a run, and a pointer to a checkpoint, must say, and whether they say it still.

Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from stages.store.fingerprint import canonical_json


def record_digest(record: Mapping[str, Any]) -> str:
    """sha256 of a run.json without its own."""
    return _sha256(json.dumps(_without(record), sort_keys=True))


def pointer_digest(pointer: Mapping[str, Any]) -> str:
    """sha256 of a pointer to a checkpoint without its own; ValueError for NaN, never written."""
    return _sha256(canonical_json(_without(pointer)))


def is_whole_record(record: Mapping[str, Any]) -> bool:
    """Whether all is there that commands read of a run.json, each of its kind."""
    kinds = {"params": dict, "seed": int, "status": str, "created": str, "updated": str}
    kinds |= {"preset": str, "argv": list, "data": dict}
    if not all(isinstance(record.get(key), kind) for key, kind in kinds.items()):
        return False
    if not all(isinstance(word, str) for word in record["argv"]):
        return False
    data = record["data"]
    ids, names, variants = (data.get(key) for key in ("ids", "categories", "variants"))
    return (
        isinstance(ids, dict)
        and all(isinstance(members, list) for members in ids.values())
        and all(isinstance(one, str) for members in ids.values() for one in members)
        and isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and isinstance(variants, dict)
        and all(isinstance(one, str) for one in variants.values())
    )


def is_whole_pointer(pointer: Mapping[str, Any]) -> bool:
    """Whether a pointer says all that is read of it, each of its kind."""
    kinds = {"system": str, "params": dict, "seed": int, "inputs": str, "step": int}
    kinds |= {"state": dict, "metrics": dict, "files": dict}
    if not all(isinstance(pointer.get(key), kind) for key, kind in kinds.items()):
        return False
    files = [pointer["files"].get(kind) for kind in ("weights", "optimizer")]
    return all(isinstance(one, dict) and {"file", "sha256"} <= one.keys() for one in files)


def _without(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "sha256"}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
