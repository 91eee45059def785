"""The rotation between two sets of points, with a gradient that exists for every pair of sets."""

from __future__ import annotations

from typing import Any

import torch

# Relative to the largest singular value: below, a turn that the points hardly determine has no
# gradient, instead of one without bound.
_UNDETERMINED = 1e-3


def relative_rotation(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Rotations R (..., 3, 3) that minimise sum_k |first_k - R second_k|^2 about the means.

    Orthogonal Procrustes (Schoenemann 1966, without reflections: Kabsch 1976). Of the keypoints
    (..., K, 3) of one shape seen by two cameras, each in its camera's frame, it is R1 R2^T. Of
    points on a line, one of the many; of points that are not finite, NaN.
    """
    first = first - first.mean(-2, keepdim=True)
    second = second - second.mean(-2, keepdim=True)
    return nearest_rotation(first.mT @ second)


def nearest_rotation(matrix: torch.Tensor) -> torch.Tensor:
    """The rotations R (..., 3, 3) of the largest tr(R^T M), of matrices M (..., 3, 3)."""
    return _NearestRotation.apply(matrix)


class _NearestRotation(torch.autograd.Function):
    """M = U S V^T to R = U D V^T, D = diag(1, 1, det(U V^T)).

    The gradient of an SVD needs 1 / (s_i - s_j), that of R only 1 / (d_i s_i + d_j s_j): with
    M = R H, H = V D S V^T symmetric, and dR = R W, W skew, V^T W V is V^T (R^T dM - dM^T R) V
    divided by those sums.
    """

    @staticmethod
    def forward(ctx: Any, matrix: torch.Tensor) -> torch.Tensor:
        finite = matrix.isfinite().all(-1, keepdim=True).all(-2, keepdim=True)
        u, s, vh = torch.linalg.svd(torch.where(finite, matrix, 0.0))
        last = torch.where(torch.linalg.det(u @ vh) < 0, -1.0, 1.0).to(s)[..., None]
        sign = torch.cat([torch.ones_like(s[..., :2]), last], -1)  # (..., 3)
        rotation = (u * sign[..., None, :]) @ vh
        ctx.save_for_backward(rotation, s * sign, vh)
        return torch.where(finite, rotation, torch.nan)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        rotation, s, vh = ctx.saved_tensors
        inner = rotation.mT @ grads[0]
        skew = vh @ ((inner - inner.mT) / 2) @ vh.mT
        sums = s[..., :, None] + s[..., None, :]
        floor = _UNDETERMINED * s[..., :1, None]
        tiny = torch.finfo(s.dtype).tiny
        turn = skew * sums / (sums**2 + floor**2).clamp(min=tiny)
        return 2 * rotation @ vh.mT @ turn @ vh
