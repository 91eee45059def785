"""What the functions of this package ask of their inputs, and the errors that say so."""

from __future__ import annotations

import torch

from stages.errors import InputError
from stages.sphere.grids import colatitudes

# How far R^T R may be from the identity: float32 matrices after a few products stay below.
ORTHOGONAL = 1e-4


def grid_size(maps: torch.Tensor, grid: str = "midpoint") -> int:
    """n of real maps (..., n, n). Raises InputError or UsageError for anything else."""
    if maps.ndim < 2 or maps.shape[-1] != maps.shape[-2] or not maps.is_floating_point():
        raise InputError(
            f"a tensor of shape {tuple(maps.shape)} and {maps.dtype} is no map of the sphere",
            "give real maps (..., n, n): colatitudes, then as many longitudes",
        )
    colatitudes(maps.shape[-1], grid)  # complains of odd sizes and unknown grids
    return maps.shape[-1]


def degrees(coefficients: torch.Tensor) -> int:
    """L of complex coefficients (..., L, L). Raises InputError for anything else."""
    shape = tuple(coefficients.shape)
    if len(shape) < 2 or shape[-1] != shape[-2] or not coefficients.is_complex():
        raise InputError(
            f"a tensor of shape {shape} and {coefficients.dtype} holds no harmonic coefficients",
            "give complex coefficients (..., L, L): degrees, then orders 0 to L - 1",
        )
    return shape[-1]


def finite(values: torch.Tensor, what: str) -> None:
    """Raises InputError where a value is NaN or infinite."""
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise InputError(
            f"{bad} of {values.numel()} values of {what} are NaN or infinite",
            "look at where they were made; a map without hits is 0, not NaN",
        )


def rotations(matrices: torch.Tensor) -> None:
    """Raises InputError unless `matrices` (..., 3, 3) are rotations."""
    if matrices.ndim < 2 or matrices.shape[-2:] != (3, 3) or not matrices.is_floating_point():
        raise InputError(
            f"a tensor of shape {tuple(matrices.shape)} and {matrices.dtype} holds no rotations",
            "give real matrices (..., 3, 3)",
        )
    known = matrices.detach()
    error = (known.mT @ known - torch.eye(3, dtype=known.dtype, device=known.device)).abs()
    if not bool((error < ORTHOGONAL).all()):  # NaN compares false as well
        raise InputError(
            f"a matrix is no rotation: R^T R is {float(error.max()):.2g} from the identity",
            "orthogonalise it first, for example by its singular value decomposition",
        )
    if not bool((torch.linalg.det(known) > 0).all()):
        raise InputError("a matrix is a reflection: its determinant is -1", "flip one of its axes")
