"""The contract of a data stage, and what the stages of the project hand each other.

A stage is a frozen `Params`, a VERSION, a SPEC of its arrays and a pure `process(item, params,
rng)`. The shared runner (`stages.engine.runner`) does what is left: freshness, shards, workers,
progress, failures. This module imports neither torch nor trimesh: `crossdim --help` and `status`
read every stage through it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def option(default: Any, help: str, *, low: float | None = None, high: float | None = None) -> Any:
    """A field of `Params`: its default, its help text, and the range it must lie in."""
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True)
class ArraySpec:
    """One array of an item.

    `shape` has the lengths of the axes: a number, the name of the parameter that it is, or None
    where neither settles it; () settles none. Of an array that is not `ragged` all items have
    equal lengths. `packed` stores booleans eight to a byte.
    `label` marks a short string that the manifest keeps, so that items can be selected by it.
    `unknown` lets NaN stand for what is not known; elsewhere it is refused.
    """

    dtype: str
    axes: tuple[str, ...] = ()
    units: str = ""
    frame: str = ""
    shape: tuple[int | str | None, ...] = field(default=(), kw_only=True)
    ragged: bool = False
    packed: bool = False
    label: bool = False
    unknown: bool = False
    compress: int = 4  # gzip level, 0 for none

    def lengths(self, params: Mapping[str, Any]) -> tuple[int | None, ...]:
        """The length of each axis by these parameters, None where it is not settled."""
        shape = self.shape or (None,) * len(self.axes)
        return tuple(params.get(one) if isinstance(one, str) else one for one in shape)

    def fits(self, dtype: np.dtype, shape: Sequence[int], params: Mapping[str, Any]) -> bool:
        """Whether an array of this dtype and shape can be one of an item."""
        wanted = self.lengths(params)
        return (
            dtype == np.dtype(self.dtype)
            and len(shape) == len(self.axes)
            and all(length in (None, found) for length, found in zip(wanted, shape))
        )

    def form(self, params: Mapping[str, Any]) -> str:
        """Dtype and lengths as text, for messages."""
        lengths = ("any" if one is None else str(one) for one in self.lengths(params))
        return f"{self.dtype} ({', '.join(lengths)})"


# Where one item of an artefact is: file of the shard, row in it, id of the item.
Row = tuple[str, int, str]


@dataclass(frozen=True)
class Attachment:
    """What an item needs beyond its own rows of the input stages.

    `values` are plain JSON values; `rows` name items of other artefacts, such as the pictures
    behind a shape; `prints` say what both hold, and go into the item's fingerprint.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    prints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """What `process` sees: an id, and for each input stage its arrays of that id.

    For stages that read files of others, `source` says where the file is and how it is oriented.
    Else `source` and `attached` are what the stage's `attach` gave: values, and the arrays of its
    rows; both are empty for most.
    """

    id: str
    inputs: Mapping[str, Arrays]
    source: Mapping[str, Any] = field(default_factory=dict)
    attached: Mapping[str, tuple[Arrays, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A command that turns artefacts into an artefact."""

    name: str  # folder in the workspace, and the word in status and errors
    version: int  # raised when the output changes for equal input
    params: type
    spec: Mapping[str, ArraySpec]
    process: Callable[[Item, Any, np.random.Generator], Arrays]
    inputs: tuple[str, ...] = ()  # names of the stages it reads
    command: str = ""  # what makes it, for error messages: `crossdim voxelize`
    untrusted: bool = False  # parses files of others: never in this process
    variant: Callable[[Any], str] = lambda params: "default"
    check: Callable[[Any], None] = lambda params: None  # raises UsageError or EnvironmentLacks
    presets: Mapping[str, Any] = field(default_factory=dict)  # `--preset`: name -> Params
    # (params, seed, workspace, ids) -> what these items need beyond their rows; in the main process
    attach: Callable[[Any, int, Any, list[str]], Mapping[str, Attachment]] | None = None
    # For stages that read files of others: the items that an origin, which is what the manifest
    # keeps of where they came from, offers (id -> source), and what the files of one hold.
    list_sources: Callable[[Mapping[str, Any]], dict[str, dict[str, Any]]] | None = None
    digest: Callable[[Mapping[str, Any]], str] | None = None


def params_json(params: Any) -> dict[str, Any]:
    """The parameters as plain JSON values, in the order of their fields."""
    return {
        f.name: list(v) if isinstance(v := getattr(params, f.name), tuple) else v
        for f in dataclasses.fields(params)
    }


def params_from_json(kind: type, values: Mapping[str, Any]) -> Any:
    """The inverse of `params_json`; values of unknown fields are dropped, tuples restored."""
    known = {f.name for f in dataclasses.fields(kind)}
    return kind(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    )


def differing(params: Any) -> dict[str, Any]:
    """The parameters that are not at their default, for names of variants."""
    return {
        f.name: getattr(params, f.name)
        for f in dataclasses.fields(params)
        if getattr(params, f.name) != f.default
    }
