"""Constant tables: computed once in float64, kept per data type and device."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Protocol

import numpy as np
import torch


class Table(Protocol):
    def __call__(self, *args: int | str, like: torch.Tensor) -> torch.Tensor: ...


def table(build: Callable[..., np.ndarray]) -> Table:
    """Turns a function that computes a float64 array into one that keeps it as a constant tensor.

    The new function takes the same arguments and `like`, whose (real) type and device the table
    gets. So a module that is moved or cast never sees a table of another type, or one that was
    rounded on its way. A kept table is shared: never write into it.
    """

    @lru_cache(maxsize=64)
    def kept(args: tuple[int | str, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        # A tensor made under inference mode could not serve autograd later.
        with torch.inference_mode(False), torch.no_grad():
            return torch.as_tensor(build(*args)).to(device=device, dtype=dtype)

    @wraps(build)
    def get(*args: int | str, like: torch.Tensor) -> torch.Tensor:
        return kept(args, like.dtype.to_real(), like.device)

    return get
