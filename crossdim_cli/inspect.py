"""inspect: what an artefact, an item or a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.output import size, table
from stages.errors import InputError, UsageError
from stages.store.workspace import Artefact, Workspace

_ARRAYS = ("array", "dtype", "shape", "axes", "units", "frame", "stored", "ratio")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    target = argument("target", str, "STAGE/VARIANT, STAGE/VARIANT/CATEGORY/NAME, or a file .h5.")
    item = param("item", str, "", "One item, CATEGORY/NAME, of that artefact or file.")
    add_command(
        app,
        "inspect",
        [target, item],
        _inspect,
        help="Say what an artefact, an item or a file holds: arrays, units, frames, parameters.",
        example="crossdim inspect voxels/res32",
    )


def _inspect(session: Session) -> None:
    from stages.store.inspection import inspect_artefact, inspect_file, inspect_item

    target, item = session.options["target"], session.options["item"]
    if Path(target).suffix == ".h5" or Path(target).is_file():
        found = inspect_file(Path(target), item)
    else:
        artefact, rest = _resolve(session.workspace, target)
        if item and rest:
            raise UsageError(f"both {rest} and --item {item} name an item", "name one")
        item = item or rest
        found = inspect_item(artefact, item) if item else inspect_artefact(artefact)
    session.out.result(found, "\n".join([*_head(found), "", _table(found["arrays"])]))


def _resolve(workspace: Workspace, target: str) -> tuple[Artefact, str]:
    """The artefact that a path begins with, and the item that is the rest of it."""
    parts = target.strip("/").split("/")
    for count in range(len(parts), 1, -1):
        stage = "/".join(parts[: count - 1])
        if any((workspace.root / stage / parts[count - 1]).glob("shard-*.h5")):
            return workspace.artefact(stage, parts[count - 1]), "/".join(parts[count:])
    raise InputError(f"no artefact {target} in {workspace.root}", "see: crossdim status")


def _head(found: dict[str, Any]) -> list[str]:
    lines = [found["name"] + (f"  {found['item']}" if "item" in found else "")]
    if "stage" in found:
        params = ", ".join(f"{k}={v}" for k, v in found["params"].items())
        lines.append(
            f"stage {found['stage']} version {found['stage_version']}, seed {found['seed']}"
        )
        lines.append(f"params {params or 'none'}")
    if "item" in found:
        lines.append(f"fingerprint {found['fingerprint']}")
        lines.append(f"{found['file']}, row {found['row']}")
        lines += [f"{name} {value!r}" for name, value in sorted(found["labels"].items())]
        return lines
    counts = f"{found['items']} items, {found['failures']} failed, {size(found['bytes'])}"
    if "shards" in found:
        counts += f" in {found['shards']} shards"
        if found["shards_looked_at"] < found["shards"]:
            counts += f"; arrays of {found['shards_looked_at']} of them:"
    return [*lines, counts]


def _table(arrays: list[dict[str, Any]]) -> str:
    of_item = any("min" in array or "text" in array for array in arrays)
    rows = []
    for array in arrays:
        row = [array["name"], array["dtype"].strip("|"), _shape(array["shape"])]
        row += [array["axes"], array["units"], array["frame"], size(array["stored"])]
        row.append("-" if array["ratio"] is None else f"{array['ratio']:.1f}")
        rows.append([*row, _value(array)] if of_item else row)
    return table((*_ARRAYS, "value") if of_item else _ARRAYS, rows)


def _value(array: dict[str, Any]) -> str:
    if "text" in array:
        return array["text"]
    if "min" not in array:
        return "-"
    text = f"{array['min']:.6g} to {array['max']:.6g}, mean {array['mean']:.6g}"
    return text + (f", {array['unknown']} unknown" if "unknown" in array else "")


def _shape(shape: list[Any]) -> str:
    """`32x32x32`; the range of a length that differs from item to item as `120..5300x3`."""
    words = [f"{n[0]}..{n[1]}" if isinstance(n, list) else str(n) for n in shape]
    return "x".join(words) or "scalar"
