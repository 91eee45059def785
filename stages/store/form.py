"""What the arrays of a shard must be: as the SPEC of the stage says that fills the folder it is in.

A shard of somebody else may be whole and plain, and yet hold other arrays than the stage makes:
what reads it relies on dtypes and lengths, compiled code among it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.catalogue import find_stage
from stages.errors import InputError
from stages.stage import ArraySpec
from stages.store.shard import RESERVED, ShardKey, params_of
from stages.store.untrusted import checked_member


@dataclass(frozen=True)
class Form:
    """The arrays that a shard may hold; of a stage that is none of the project's, any."""

    name: str = ""  # of the stage
    spec: Mapping[str, ArraySpec] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    hint: str = ""

    @classmethod
    def of(cls, stage: str, key: ShardKey) -> Form:
        """The form of a shard in the folder of a stage; InputError if it says it is of another."""
        found = find_stage(stage)
        if found is None:
            return cls()
        if key.stage != stage:
            raise InputError(f"a shard of {key.stage} is in the folder {stage}", "remove it")
        name = f"{stage} of version {found.version}"
        hint = "make the artefact again, or do not use this file"
        if key.stage_version != found.version:
            hint = f"it was made by version {key.stage_version}; make the artefact again"
        return cls(name, found.spec, params_of(key), hint)

    def check(self, file: h5py.File, path: Path) -> None:
        """Raise InputError unless every array is one of the stage, of its dtype and lengths.

        Those of any length are looked at row by row: `check_row`.
        """
        if self.spec is None:
            return
        for name in (name for name in file if name not in RESERVED):
            member, spec = file[name], self.spec.get(name)
            if spec is None:
                raise InputError(f"{path}: {self.name} has no array {name!r}", self.hint)
            if isinstance(member, h5py.Group) != spec.ragged:
                kind = "one length" if spec.ragged else "any length"
                raise InputError(
                    f"{path}: array {name} is of {kind}, not as in {self.name}", self.hint
                )
            if not spec.ragged:
                self._check(name, spec, *_item_form(member), path)

    def check_row(self, file: h5py.File, row: int, names: Iterable[str], path: Path) -> None:
        """Raise InputError unless a row of the arrays of any length is as the stage makes it."""
        for name in names:
            spec = (self.spec or {}).get(name)
            if spec is not None and spec.ragged:
                member = checked_member(file[name], f"{row:06d}", path)
                self._check(name, spec, member.dtype, member.shape, path)

    def _check(
        self, name: str, spec: ArraySpec, dtype: np.dtype, shape: tuple[int, ...], path: Path
    ) -> None:
        if not spec.fits(dtype, shape, self.params):
            raise InputError(
                f"{path}: array {name} is {dtype} {shape}, in {self.name} {spec.form(self.params)}",
                self.hint,
            )


ANY = Form()


def _item_form(member: h5py.Dataset) -> tuple[np.dtype, tuple[int, ...]]:
    """Dtype and shape of an item, unpacked."""
    if "packed" in member.attrs:
        return np.dtype(bool), tuple(int(n) for n in member.attrs["item_shape"])
    return member.dtype, member.shape[1:]
