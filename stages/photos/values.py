"""Values of MATLAB files (`stages.viewpoints.matfile`), each checked to be what it should be."""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.errors import ItemError


def structs(value: Any, what: str) -> list[dict[str, Any]]:
    """The elements of a struct array; none for an empty array."""
    if isinstance(value, np.ndarray) and not value.size:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ItemError(f"{what} is no struct")
    return value


def struct(value: Any, what: str) -> dict[str, Any]:
    """The fields of a struct that stands alone; none for an empty array."""
    found = structs(value, what)
    if len(found) > 1:
        raise ItemError(f"{what} is not one struct but {len(found)}")
    return found[0] if found else {}


def numbers(value: Any, what: str) -> np.ndarray:
    """An array of numbers, float64, its shape kept."""
    if not isinstance(value, np.ndarray):
        raise ItemError(f"{what} is no array of numbers")
    return value


def vector(value: Any, count: int, what: str) -> np.ndarray:
    """So many finite numbers, in whatever shape they were."""
    found = numbers(value, what).ravel()
    if found.shape != (count,) or not np.isfinite(found).all():
        raise ItemError(f"{what} is not {count} numbers")
    return found


def number(value: Any, what: str) -> float | None:
    """One finite number; None where it is missing, empty or not finite."""
    found = np.zeros(0) if value is None else numbers(value, what)
    if found.size > 1:
        raise ItemError(f"{what} is not one number but {found.size}")
    return float(found.item()) if found.size and np.isfinite(found).all() else None


def text(value: Any, what: str) -> str:
    """Some text; that of an empty array is empty."""
    if isinstance(value, np.ndarray) and not value.size:
        return ""
    if not isinstance(value, str):
        raise ItemError(f"{what} is no text")
    return value.strip()
