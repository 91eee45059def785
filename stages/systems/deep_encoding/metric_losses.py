"""What pulls codes together and pushes them apart.

A batch is m triplets: voxels v_i, a picture p_i of the same object, a picture n_i of another one.
D is the Euclidean distance of codes; nothing is normalised. Letters: m triplets, C length of a
code, N codes of any kind.
"""

from __future__ import annotations

import torch


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


def lifted_safe(codes: torch.Tensor, labels: torch.Tensor, margin: float) -> torch.Tensor:
    """`lifted` of any codes: its value, and a gradient that is finite everywhere.

    The sums are taken as log-sum-exp, which takes the largest exponent out, and a distance of 0 has
    a gradient of 0. Once for each code, not for each pair: pytorch-metric-learning's forms the
    negatives of every pair anew, which takes 10 to 30 times as long for the 72 codes of a batch.
    """
    away = torch.cdist(codes, codes, compute_mode="donot_use_mm_for_euclid_dist")  # (N, N)
    same = labels[:, None] == labels[None]
    pushed = (margin - away).masked_fill(same, -torch.inf).logsumexp(1)  # (N,)
    first, second = torch.where(same.triu(1))
    pair = torch.logaddexp(pushed[first], pushed[second]) + away[first, second]
    return (torch.relu(pair) ** 2).mean() / 2
