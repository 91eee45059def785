"""One item of work, as it travels to whatever process does it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.errors import CrossdimError, ItemError
from stages.stage import Arrays, Item, Row, Stage, params_json
from stages.store.fingerprint import item_rng
from stages.store.reader import OpenShards
from stages.store.shard import encode_item


@dataclass(frozen=True, slots=True)
class Work:
    """An item to process: where its inputs are, not what they hold."""

    id: str
    fingerprint: str
    inputs: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # stage -> (shard, row)
    source: Mapping[str, Any] = field(default_factory=dict)
    attached: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """What all items of a run share; picklable, so it names the stage instead of holding it."""

    stage_module: str
    params: Any
    seed: int

    @classmethod
    def of(cls, stage: Stage, params: Any, seed: int) -> Job:
        """The job of a stage; the module of its `process` must hold it as STAGE."""
        return cls(stage.process.__module__, params, seed)


@lru_cache(maxsize=8)
def _stage(module: str) -> Stage:
    return importlib.import_module(module).STAGE


@lru_cache(maxsize=1)
def _open_shards() -> OpenShards:
    return OpenShards()


def _read(stage: str, row: Row) -> Arrays:
    path, number, item = row
    return _open_shards().read(stage, Path(path), number, item)


def perform(job: Job, work: Work) -> bytes:
    """The encoded arrays of one item; raises ItemError with the reason when it cannot be done."""
    stage = _stage(job.stage_module)
    inputs = {name: _read(name, (path, row, work.id)) for name, (path, row) in work.inputs.items()}
    attached = {
        name: tuple(_read(name, row) for row in rows) for name, rows in work.attached.items()
    }
    try:
        item = Item(work.id, inputs, work.source, attached)
        arrays = stage.process(item, job.params, item_rng(job.seed, work.id))
        return encode_item(stage.spec, arrays, params_json(job.params))
    except (ItemError, CrossdimError, MemoryError):
        raise
    except Exception as error:  # whatever one item does must not end the others
        raise ItemError(f"{type(error).__name__}: {error}") from error
