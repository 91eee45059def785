"""Whether the runs of a workspace are up to date and undamaged. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.errors import CrossdimError
from stages.store.fingerprint import canonical_json, digest
from stages.store.texts import TextError, read_json
from stages.store.workspace import Workspace
from stages.train.run import OWN_FILE, Run, list_runs


def runs_status(workspace: Workspace) -> list[dict[str, Any]]:
    """One record a run: `run`, `status`, `fresh` and `why`."""
    return [_status(workspace, run) for run in list_runs(workspace.root)]


def _status(workspace: Workspace, run: Run) -> dict[str, Any]:
    name = f"runs/{run.system}/{run.name}"
    try:
        record = run.record()
        data = record["data"]
        ids = sorted(i for split in data["ids"].values() for i in split)
        artefacts = [workspace.artefact(s, v) for s, v in data["variants"].items()]
        prints = {a.stage: [a.entry(i).fingerprint for i in ids] for a in artefacts}
        by_split = {split: list(there) for split, there in data["ids"].items()}
        same = digest(canonical_json([prints, by_split]).encode()) == data["fingerprint"]
        why = record["status"] if same else f"{record['status']}; its inputs have changed"
        fresh = same and record["status"] == "finished"
    except (CrossdimError, KeyError, TypeError, AttributeError) as error:
        return {"run": name, "status": "damaged", "fresh": False, "why": str(error)}
    return {"run": name, "status": record["status"], "fresh": fresh, "why": why}


def verify_runs(workspace: Workspace) -> tuple[int, dict[str, str]]:
    """How many checkpoint files were read again, and those whose sha256 is not the recorded one."""
    files: dict[str, str] = {}
    problems: dict[str, str] = {}
    for run in list_runs(workspace.root):
        for pointer in sorted(run.checkpoints.glob("*.json")):
            label = f"runs/{run.system}/{run.name}/checkpoints"
            try:
                wanted = _files(read_json(pointer))
            except (OSError, TextError) as error:
                why = "it cannot be read" if isinstance(error, OSError) else f"it {error}"
                problems[f"{label}/{pointer.name}"] = why
                continue
            except (KeyError, TypeError, AttributeError):
                problems[f"{label}/{pointer.name}"] = "it is no pointer to a checkpoint"
                continue
            for name, sha256 in wanted.items():
                path = run.checkpoints / name
                files[f"{label}/{name}"] = sha256
                if not path.is_file():
                    problems[f"{label}/{name}"] = "it is missing"
                elif _sha256(path) != sha256:
                    problems[f"{label}/{name}"] = "the bytes are not those that were written"
    return len(files), problems


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(pointer: Mapping[str, Any]) -> dict[str, str]:
    """The files of a pointer with their sha256; TypeError for names that are none of ours."""
    files = {f["file"]: f["sha256"] for f in pointer["files"].values()}
    if not all(OWN_FILE.fullmatch(name) for name in files):  # so they stay in the folder
        raise TypeError
    return files
