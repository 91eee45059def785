"""Negatives that are not the drawn ones: of all codes in a batch, those that teach most.

Letters: m anchors, N candidates, C length of a code.
"""

from __future__ import annotations

from typing import Literal

import torch


def mine(
    anchor: torch.Tensor,
    positive: torch.Tensor,
    candidates: torch.Tensor,
    other: torch.Tensor,
    kind: Literal["semihard", "hard"],
) -> torch.Tensor:
    """(m,) which of the candidates (N, C) is the negative of each anchor (m, C).

    hard: the nearest. semihard: the nearest that is farther than the positive (m, C), where there
    is one, else the farthest (FaceNet, Schroff et al. 2015). Only candidates of an `other` (m, N)
    object count; every anchor needs one.
    """
    with torch.no_grad():
        away = torch.cdist(anchor, candidates)  # (m, N)
        never = torch.full_like(away, torch.inf)
        nearest = torch.where(other, away, never)
        if kind == "hard":
            return nearest.argmin(1)
        beyond = other & (away > torch.linalg.vector_norm(anchor - positive, dim=1)[:, None])
        farthest = torch.where(other, away, -never).argmax(1)
        return torch.where(beyond.any(1), torch.where(beyond, away, never).argmin(1), farthest)
