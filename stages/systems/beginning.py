"""Which run another may go on from. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from stages.errors import InputError


def require_same(found: Any, params: Any, names: Iterable[str]) -> None:
    """Raise InputError unless a run, `found`, has these parameters of its network."""
    for name in names:
        if getattr(found.params, name) != getattr(params, name):
            raise InputError(
                f"run {found.run} has {name} {getattr(found.params, name)}, "
                f"not {getattr(params, name)}",
                "give the --preset and the options that it was trained with",
            )


def require_unseen(found: Any, test: Sequence[str]) -> None:
    """Raise InputError when a run, or one that it goes on from, was trained on test shapes."""
    if known := sorted(set(found.learned_from) & set(test)):
        raise InputError(
            f"run {found.run} was trained on {len(known)} of the test shapes, {known[0]} first",
            "begin with a run on the same shapes",
        )
