"""Whether the runs of a workspace are up to date and undamaged. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from stages.errors import CrossdimError
from stages.store.fingerprint import canonical_json, digest
from stages.store.texts import TextError, read_json
from stages.store.workspace import Workspace
from stages.train.records import pointer_digest
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
    """How many checkpoint files were read again, and what of runs is not as it was written."""
    files: dict[str, str] = {}
    problems: dict[str, str] = {}
    for run in list_runs(workspace.root):
        label = f"runs/{run.system}/{run.name}"
        try:
            run.record()
        except CrossdimError as error:
            problems[f"{label}/run.json"] = str(error)
        label += "/checkpoints"
        for pointer in sorted(run.checkpoints.glob("*.json")):
            wanted, why = _files(pointer)
            if why:
                problems[f"{label}/{pointer.name}"] = why
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


def _files(path: Path) -> tuple[dict[str, str], str]:
    """The files of a pointer with their sha256, and what is wrong with the pointer itself."""
    try:
        pointer = read_json(path)
        files = {f["file"]: f["sha256"] for f in pointer["files"].values()}
        if not all(OWN_FILE.fullmatch(name) for name in files):  # so they stay in the folder
            return {}, "it is no pointer to a checkpoint"
        if pointer["sha256"] != pointer_digest(pointer):
            return files, "its content does not match its sha256"
    except OSError as error:
        return {}, f"it cannot be read: {error.strerror}"
    except TextError as error:
        return {}, f"it {error}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, "it is no pointer to a checkpoint"
    return files, ""
