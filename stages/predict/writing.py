"""Predictions as files beside their pictures, or in one folder; nothing of others is overwritten.

Of a picture `photo.jpg` the files of pose-aware are `photo.pose-aware.json`, which lists the others
with their sha256, `photo.pose-aware.png`, `photo.pose-aware.glb`, ... A file is ours if such a JSON
lists it and it still is what was written; only those are replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.errors import ItemError
from stages.photos.files import distinct_names
from stages.predict.drawing import sheet
from stages.predict.images import Seen
from stages.predict.networks import SYSTEMS, Network
from stages.predict.prediction import Prediction
from stages.store.commit import commit_bytes, make_folder
from stages.store.texts import TextError, read_json

FORMAT = "crossdim-prediction"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Written:
    """The files of one prediction, the JSON first, and what it says."""

    files: tuple[Path, ...]
    facts: Mapping[str, Any]


def stems(pictures: Sequence[Path], system: str, out: Path | None) -> dict[Path, Path]:
    """Where the files of each picture begin: in `out`, or beside it. No two begin alike."""
    by_folder: dict[Path, dict[str, Path]] = {}
    for picture in pictures:
        by_folder.setdefault(out or picture.parent, {})[str(picture)] = picture
    found = {}
    for folder, there in by_folder.items():
        plain = {key: picture.stem for key, picture in there.items()}
        for key, name in distinct_names(plain).items():
            found[there[key]] = folder / f"{name}.{system}"
    return found


def without_ours(pictures: Sequence[Path]) -> list[Path]:
    """The pictures that are no sheets of earlier predictions."""
    return [picture for picture in pictures if not _is_listed(picture)]


def _is_listed(path: Path) -> bool:
    """Whether a prediction beside a file lists it."""
    parts = path.name.split(".")
    systems = [n for n, part in enumerate(parts) if part in SYSTEMS]
    return any(
        path.name in _known(path.with_name(".".join(parts[: n + 1]) + ".json")) for n in systems
    )


def _known(record: Path) -> dict[str, str]:
    """The files that the JSON of a prediction lists, with their sha256; none if it is no such."""
    try:
        facts = read_json(record)
        files = facts["files"] if facts["format"] == FORMAT else {}
        return {str(name): str(digest) for name, digest in files.items()}
    except (OSError, TextError, KeyError, TypeError, AttributeError):
        return {}


def write(
    stem: Path, picture: Path, seen: Seen, told: Prediction, network: Network, force: bool
) -> Written:
    """Write what was told of a picture.

    Raises ItemError when a file that is not ours is in the way, unless `force` is given;
    CrossdimError when a file cannot be written.
    """
    data = {stem.name + suffix: content for suffix, content in told.files.items()}
    data[f"{stem.name}.png"] = sheet(picture.name, seen, told)
    record = stem.with_name(f"{stem.name}.json")
    if not force:
        _refuse_foreign(record, list(data))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in data.items()}
    facts = described(picture, seen, told, network, digests)
    make_folder(stem.parent)
    for name, content in data.items():
        commit_bytes(stem.parent / name, content)
    # last: what it lists is there, and a kill before leaves files that it will list next time
    commit_bytes(record, (json.dumps(facts, indent=1, allow_nan=False) + "\n").encode())
    return Written((record, *(stem.parent / name for name in data)), facts)


def _refuse_foreign(record: Path, names: Sequence[str]) -> None:
    known = _known(record)
    for name in names:
        path = record.with_name(name)
        if not path.exists():
            continue
        if known.get(name) != hashlib.sha256(path.read_bytes()).hexdigest():
            raise ItemError(f"{path} is in the way and not from crossdim predict; see --force")
    if record.exists() and not known:
        raise ItemError(f"{record} is in the way and not from crossdim predict; see --force")


def described(
    picture: Path, seen: Seen, told: Prediction, network: Network, files: Mapping[str, str]
) -> dict[str, Any]:
    """What the JSON of a prediction says."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "system": network.system,
        "network": network.origin,
        **network.about,
        "categories": list(network.categories),
        "picture": picture.name,
        "picture_size": list(seen.size),
        "looked_at": [round(edge, 2) for edge in seen.region],
        "mask_from": seen.mask_from or None,
        "pose": told.pose,
        **({"pose_missing": told.pose_missing} if told.pose is None else {}),
        "confidence": {name: round(value, 4) for name, value in told.confidence.items()},
        **told.facts,
        "files": dict(files),
    }
