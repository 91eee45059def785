"""Networks as somebody else's parameters describe them, within the memory that their weights need.

A checkpoint, or the card of packed weights, says how large its network is, and may say anything: a
number that is none, or one that takes all memory before weights are held against it.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stages.errors import CrossdimError, InputError
from stages.stage import params_from_json

# Buffers that are computed and not saved, threads, libraries that are loaded meanwhile.
_BESIDE_BYTES = 512 << 20
_OF_WEIGHTS = 8


def build_model(
    system: Any, values: Mapping[str, Any], weights: Mapping[str, Tensor], origin: str
) -> tuple[Any, nn.Module]:
    """The parameters of `values`, and their untrained network, which weights of others are for.

    Raises InputError when they describe none, or one of another size than the weights.
    """
    size = sum(one.numel() * one.element_size() for one in weights.values())
    try:
        with _memory(_BESIDE_BYTES + _OF_WEIGHTS * size):
            params = params_from_json(system.Params, values)
            return params, system.build(params)
    except CrossdimError:
        raise
    except Exception as error:  # numbers of others may lead to anything
        raise InputError(
            f"{origin} describes no network of {system.NAME} ({type(error).__name__})",
            "do not use this file: train again, or name another one",
        ) from error


@contextlib.contextmanager
def _memory(most: int) -> Iterator[None]:
    """Let this process grow by no more than so many bytes, on Linux; MemoryError beyond."""
    if sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    (held,) = (
        1024 * int(line.split()[1])
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmData:")
    )
    allowed = [one for one in (held + most, *before) if one != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(allowed), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
