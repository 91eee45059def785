"""What pulls codes together and pushes them apart.

A batch is m triplets: voxels v_i, a picture p_i of the same object, a picture n_i of another one.
D is the Euclidean distance of codes; nothing is normalised. Letters: m triplets, C length of a
code, N codes of any kind.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import LiftedStructureLoss


def squared(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """(m,) squared distances of codes (m, C)."""
    return ((first - second) ** 2).sum(1)


def triplet(
    anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, margin: float
) -> torch.Tensor:
    """(m,) terms of equation 1: max(D(p, a)^2 - D(n, a)^2 + alpha, 0); the loss is their mean.

    Over all triplets, as printed, not only over those that are not 0. The term is affine in `a`, so
    a vector orthogonal to all p - n may be added to every anchor and changes nothing: the loss does
    not say how far voxels are from pictures (docs/deep_encoding.md).
    """
    return torch.relu(squared(positive, anchor) - squared(negative, anchor) + margin)


def lifted(codes: torch.Tensor, labels: torch.Tensor, margin: float) -> torch.Tensor:
    """The lifted structure loss of codes (N, C), labels (N,) their objects, as it is printed.

    J = 1 / (2 |P|) sum over pairs i < j of one object of max(0, J_ij)^2,
    J_ij = log(sum_k e^(alpha - D_ik) + sum_l e^(alpha - D_jl)) + D_ij, k and l of other objects
    (Oh Song et al. 2016, equation 4).

    Term by term: two equal codes of one object, such as the same voxels twice in a batch, have a
    gradient of 0 / 0, and codes that are more than about 100 apart make the logarithm -infinity.
    NaN follows from both. `lifted_safe` has the same value without either.
    """
    difference = codes[:, None] - codes[None]  # (N, N, C)
    itself = torch.eye(len(codes), dtype=codes.dtype, device=codes.device)
    distance = ((difference**2).sum(2) + itself).sqrt()  # the diagonal is not looked at
    same = labels[:, None] == labels[None]
    pushed = torch.exp(margin - distance).masked_fill(same, 0).sum(1)  # (N,)
    first, second = torch.where(same.triu(1))
    pair = (pushed[first] + pushed[second]).log() + distance[first, second]
    return (torch.relu(pair) ** 2).mean() / 2


class ExactDistance(LpDistance):
    """Euclidean distances, element by element: |a|^2 - 2 ab + |b|^2 loses the small ones."""

    def __init__(self) -> None:
        super().__init__(normalize_embeddings=False)

    def compute_mat(self, query_emb: torch.Tensor, ref_emb: torch.Tensor) -> torch.Tensor:
        """(N, M); where a distance is 0, its gradient is."""
        return torch.cdist(query_emb, ref_emb, compute_mode="donot_use_mm_for_euclid_dist")


@lru_cache
def _lifted_structure(margin: float) -> LiftedStructureLoss:
    return LiftedStructureLoss(neg_margin=margin, pos_margin=0, distance=ExactDistance())


def lifted_safe(codes: torch.Tensor, labels: torch.Tensor, margin: float) -> torch.Tensor:
    """`lifted` from pytorch-metric-learning: the largest exponent is taken out of the sums before
    they are formed, and a distance of 0 has no gradient.
    """
    return _lifted_structure(margin)(codes, labels)
