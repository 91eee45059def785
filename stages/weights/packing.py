"""From a run to packed weights with their card.

Letters: P pictures.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from stages.errors import CrossdimError, InputError
from stages.stage import params_json
from stages.store.summary import read_summary
from stages.store.texts import TextError
from stages.store.workspace import Workspace
from stages.train.run import Run, Trained, load_model
from stages.weights.cards import FORMAT, FORMAT_VERSION, GALLERY, MAX_BYTES
from stages.weights.framing import camera_of
from stages.weights.halving import difference, halved
from stages.weights.lineage import ancestry, learned_from

_LICENCES = (  # of data, and what weights that learned from them are given away under
    ("GPL", "GPL-2.0-or-later"),
    ("CC-BY", "CC-BY-3.0"),
)


@dataclass(frozen=True)
class Asked:
    """What the caller knows of the weights and the run does not say."""

    name: str
    licence: str = ""  # default: the strictest of the data's
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Packed:
    """The bytes of packed weights: the weights, the card as JSON and as text."""

    weights: bytes
    card: bytes
    text: bytes
    facts: Mapping[str, Any]


def pack(workspace: Workspace, run: Run, asked: Asked) -> Packed:
    """The best network of a run in half precision, with its card.

    Raises InputError for a run without a best checkpoint, CrossdimError when the file is larger
    than packed weights may be.
    """
    record = run.record()
    trained = load_model(run)
    stored = halved(trained.model.state_dict())
    facts = _about(record, trained, asked)
    facts["commands"] = _commands(run)
    facts["camera"] = camera_of(workspace, run, trained.params).to_json()
    facts["data"] = _data(workspace, record)
    own = {*record["data"]["ids"]["train"], *record["data"]["ids"]["val"]}
    facts["data"]["learned_from_before"] = sorted(learned_from(run) - own)
    facts["half_precision"] = difference(workspace, run, trained, stored)
    facts["metrics"] = measured(workspace, run)
    if run.system == "deep-encoding":
        ids, codes = _gallery(workspace, run, trained)
        facts["gallery"], stored[GALLERY] = ids, torch.from_numpy(codes)
    if (threshold := _threshold(facts["metrics"])) is not None:
        facts["threshold"] = threshold
    facts["licence"] = asked.licence or _licence(facts["data"]["sources"])
    data = safetensors.torch.save(stored, {"format": FORMAT})  # of several, the order is random
    if len(data) >= MAX_BYTES:
        raise CrossdimError(
            f"{asked.name} would be {len(data) / 1e6:.1f} MB, at most {MAX_BYTES / 1e6:.0f} MB "
            "are packed",
            "train a narrower network, such as --preset tiny",
        )
    facts |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    text = json.dumps(facts, indent=1, allow_nan=False) + "\n"
    return Packed(data, text.encode(), readable(facts).encode(), facts)


def _about(record: Mapping[str, Any], trained: Trained, asked: Asked) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": asked.name,
        "system": record["system"],
        "categories": record["data"]["categories"],
        "run": record["name"],
        "run_weights": trained.sha256,
        "params": params_json(trained.params),
        "seed": record["seed"],
        "step": trained.step,
        "steps": record["params"]["steps"],
        "trained": record["updated"][:10],
        "commands": [],
        "versions": record["versions"],
        "validation": dict(trained.metrics),
        "precision": "float16; vectors and running statistics float32",
        "limits": list(asked.limits),
    }


def _commands(run: Run) -> list[str]:
    """The commands that trained a run, those of the runs that it goes on from first."""
    found = [
        command_of(one.record()["argv"]) if one.exists() else f"(run {one.name}: gone)"
        for one in ancestry(run)
    ]
    return list(dict.fromkeys(found))


def command_of(argv: Sequence[str]) -> str:
    """The command of a run, without what is about one machine alone."""
    words, kept = list(argv), []
    while words:
        word = words.pop(0)
        if word in ("--workspace", "-w", "--device", "--gpu"):
            words = words[1:]
        elif word not in ("-q", "--quiet", "--fresh"):
            kept.append(word)
    return shlex.join(["crossdim", *kept])


def _data(workspace: Workspace, record: Mapping[str, Any]) -> dict[str, Any]:
    """The shapes of each split, and whose they are, as the cached shapes say it."""
    ids = record["data"]["ids"]
    owners = {i: a for a in workspace.artefacts("shapes") for i in a.index.items()}
    credit: Counter[tuple[str, str]] = Counter()
    for item in [*ids["train"], *ids["val"]]:
        if item in owners:
            arrays = owners[item].read(item, ("source", "licence"))
            source, licence = (bytes(arrays[n]).decode() for n in ("source", "licence"))
            generated = owners[item].variant == "generated"
            source = "crossdim shapes generate" if generated else source or owners[item].variant
            licence = "MIT" if generated else licence or "not said"
        else:
            source, licence = "drawn by crossdim skeletons, or gone", "not said"
        credit[source, licence] += 1
    return {
        "shapes": {split: list(members) for split, members in ids.items()},
        "variants": record["data"]["variants"],
        "sources": [
            {"source": source, "licence": licence, "shapes": count}
            for (source, licence), count in sorted(credit.items())
        ],
    }


def _licence(sources: Sequence[Mapping[str, Any]]) -> str:
    """What weights are given away under: as the strictest licence of what they learned from."""
    there = {source["licence"] for source in sources}
    for word, ours in _LICENCES:
        if any(licence.startswith(word) for licence in there):
            return ours
    return "MIT"


def measured(workspace: Workspace, run: Run) -> list[dict[str, Any]]:
    """The summaries of every evaluation of a run with the weights that it has now.

    Raises InputError for one that is not as it was written: numbers of it are packed, or used.
    """
    weights = run.best()["sha256"]
    found = []
    for path in sorted((workspace.root / "results").glob("*/*/summary.json")):
        try:
            summary = read_summary(path)
        except TextError as error:
            again = f"evaluate that run again: crossdim eval {path.parent.parent.name}"
            raise InputError(f"{path} {error}", again) from error
        except OSError:
            continue
        if summary.get("weights") == weights and summary.get("run") == run.name:
            found.append({"protocol": path.parent.parent.name, **summary})
    return found


def _threshold(summaries: Sequence[Mapping[str, Any]]) -> float | None:
    """The occupancy threshold that was chosen on validation shapes."""
    return next((s["threshold"] for s in summaries if "threshold" in s), None)


def _gallery(workspace: Workspace, run: Run, trained: Trained) -> tuple[list[str], np.ndarray]:
    """Ids (S,) of the training shapes and codes (S, C) float32 of their voxels."""
    data = run.record()["data"]
    voxels = workspace.artefact("voxels", data["variants"]["voxels"])
    ids = [item for item in data["ids"]["train"] if item in voxels.index.items()]
    if not ids:
        raise InputError(f"{voxels.name} holds no training shapes", "run: crossdim voxelize")
    with torch.no_grad():
        solid = [torch.from_numpy(voxels.read(i, ("voxels",))["voxels"]) for i in ids]
        codes = [trained.model.encode_voxels(one[None]) for one in solid]  # type: ignore[operator]
    return ids, torch.cat(codes).float().numpy()


def readable(facts: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    shapes = {split: len(ids) for split, ids in facts["data"]["shapes"].items()}
    lines = [
        f"# {facts['name']}",
        "",
        f"Packed weights of `{facts['system']}` for {', '.join(facts['categories'])}.",
        "",
        f"- File: `{facts['name']}.safetensors`, {facts['bytes']} bytes, {facts['precision']}",
        f"- sha256: `{facts['sha256']}`",
        f"- Trained: {facts['trained']}, step {facts['step']} of {facts['steps']} (the best on "
        f"validation), seed {facts['seed']}",
        *(f"- Command: `{command}`" for command in facts["commands"]),
        f"- Shapes: {', '.join(f'{count} {split}' for split, count in shapes.items())}",
        f"- Licence of the weights: {facts['licence']}",
        f"- Half precision: {facts['half_precision']['text']}",
        "",
        "## Data",
        "",
        "| source | licence | shapes |",
        "|---|---|---|",
        *(f"| {s['source']} | {s['licence']} | {s['shapes']} |" for s in facts["data"]["sources"]),
        "",
        "## Measured on test shapes, trivial answers beside",
        "",
        *_metric_lines(facts["metrics"]),
        "## Limits",
        "",
        *(f"- {limit}" for limit in facts["limits"]),
    ]
    return "\n".join(lines) + "\n"


def _metric_lines(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    lines: list[str] = []
    for summary in summaries:
        on = ", ".join(summary.get("inputs", []))
        lines += [f"### {summary['protocol']}{f' on {on}' if on else ''}", ""]
        for key, rows in summary["tables"].items():
            columns = sorted({column for values in rows.values() for column in values})
            lines += [f"| {key} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
            for what, values in rows.items():
                cells = [f"{values[c]:.3f}" if c in values else "-" for c in columns]
                lines.append(f"| {what} | {' | '.join(cells)} |")
            lines.append("")
    return lines or ["Not measured.", ""]


def names_of(path: Path) -> tuple[Path, Path, Path]:
    """The three files of packed weights: .safetensors, .json and .md."""
    return path.with_suffix(".safetensors"), path.with_suffix(".json"), path.with_suffix(".md")
