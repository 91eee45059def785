"""The losses of pose-aware reconstruction (Liao et al. 2018, sections 2.2 and 2.3).

Where the printed equations are wrong, the docstrings say how. True poses are never read: the pose
learns from the silhouette of the true voxels under it alone.

Letters: B batch, K pose hypotheses, H W pixels of a mask, N samples on a ray, S shape code.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from stages.geometry import rotations, sampling
from stages.systems.pose_aware.data import average_masks
from stages.systems.pose_aware.model import Codes
from stages.systems.pose_aware.params import Params

Tensors = dict[str, torch.Tensor]


def stopping_probabilities(occupancy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where rays with occupancies (..., N) stop, (..., N), and whether they pass, (...).

    Equations 2 and 3: q(i) = y_i prod_{j<i} (1 - y_j) and q_pen = prod_{j<=N} (1 - y_j); in print
    the factors carry the index i instead of j. All N + 1 add up to 1.
    """
    passed = (1 - occupancy).cumprod(-1)
    before = torch.cat([torch.ones_like(passed[..., :1]), passed[..., :-1]], -1)
    return occupancy * before, passed[..., -1]


def ray_consistency(penetration: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(...) mean over the pixels of equation 4, from q_pen (..., H, W) and masks (..., H, W).

    sum_i q(i) = 1 - q_pen, so that L = m q_pen + (1 - m)(1 - q_pen); the single q(i), and with
    them the cancellation in their sum, are not needed.
    """
    return (mask * penetration + (1 - mask) * (1 - penetration)).mean((-2, -1))


def iou_loss(first: torch.Tensor, second: torch.Tensor, axes: int) -> torch.Tensor:
    """exp(1 - IoU) - 1 over the last `axes` axes: equations 5 (two axes) and 9 (three).

    The union is a + b - ab; printed is a + b + ab, with which a perfect match would cost 0.948.
    It is 0 for equal binary arrays, and for two empty ones; equal soft values cost something.
    """
    over = tuple(range(-axes, 0))
    both = (first * second).sum(over)
    either = (first + second - first * second).sum(over)
    iou = torch.where(either > 0, both / either.clamp(min=1e-12), 1)
    return (1 - iou).exp() - 1


def voxel_cross_entropy(
    logits: torch.Tensor, truth: torch.Tensor, positive_weight: float
) -> torch.Tensor:
    """Equation 8, -lambda_p t log y - (1 - t) log(1 - y), as the mean over all voxels.

    From logits, since log(y) of a saturated sigmoid is infinite; the paper names no reduction.
    """
    weight = logits.new_tensor(positive_weight)
    return F.binary_cross_entropy_with_logits(logits, truth, pos_weight=weight)


def kl_divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Equation 10, KL(N(mean, var) || N(0, 1)): the mean over the batch and the S components.

    The paper names no reduction; summed over 512 components with its weight 0.02, the code would
    carry a few nats only.
    """
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()


def self_consistency(
    codes: Codes, voxels: torch.Tensor, mask: torch.Tensor, params: Params
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, K) L_ray and (B, K) L_proj of each hypothesis: true voxels against the true mask.

    `params.opacity` 1 is the paper. Where voxels hold all that they touch, shadows are up to twice
    too large, and equation 4, which counts wrong pixels, likes best the poses that show least of
    the shape. A lower occupancy gives shadows of the right area.
    """
    rotation = rotations.camera(codes.azimuth, codes.elevation)  # (B, K, 3, 3)
    rays = sampling.Rays(size=params.ray_pixels, samples=params.depth_samples)
    passed = sampling.penetration(voxels * params.opacity, rotation, rays)  # (B, K, H, W)
    mask = average_masks(mask, params.ray_pixels)[:, None]
    return ray_consistency(passed, mask), iou_loss(1 - passed, mask, axes=2)


def pose_losses(codes: Codes, voxels: torch.Tensor, mask: torch.Tensor, params: Params) -> Tensors:
    """`consistency` (equation 6), its parts, and `choice`, which picks among hypotheses.

    One hypothesis is the paper's regressor. Of several, each learns by the weight
    softmax(-L_proj / temperature), so that a pose at a wrong turn does not drag the others; the
    scores learn the same weights as a distribution (after Tulsiani et al. 2018 and Insafutdinov &
    Dosovitskiy 2018). Weights carry no gradient. They rest on L_proj alone, the better judge.
    """
    ray, projection = self_consistency(codes, voxels, mask, params)
    each = (params.ray_weight * ray + params.projection_weight * projection) / 2  # (B, K)
    weight = (-projection.detach() / params.temperature).softmax(1)
    choice = -(weight * codes.scores.log_softmax(1)).sum(1)
    return {
        "consistency": (weight * each).sum(1).mean(),
        "ray": (weight * ray).detach().sum(1).mean(),
        "projection": (weight * projection).detach().sum(1).mean(),
        "choice": choice.mean(),
    }


def losses(model: torch.nn.Module, batch: Tensors, params: Params, context: Any) -> Tensors:
    """`loss`, to be backpropagated, and its terms.

    The sum L_m + L_3d + L_IoU + L_sc + lambda_KL L_KL; `PoseAware.forward` halves the gradients
    that leave the two decoders, so that the encoder receives the gradient of equation 12,
    (L_m + (L_3d + L_IoU)) / 2 + L_sc + lambda_KL L_KL, the voxel decoder that of 13 and the mask
    decoder that of 14. `context.generator` (CPU) draws the noise of the shape code.
    """
    shape = (len(batch["image"]), params.shape_code)
    noise = torch.randn(shape, generator=context.generator).to(batch["image"].device)
    codes, voxels, mask = model(batch["image"], noise)
    pose = pose_losses(codes, batch["voxels"], batch["mask"], params)
    terms = {
        "mask": F.binary_cross_entropy_with_logits(mask, batch["mask"]),  # equation 11
        "voxels": voxel_cross_entropy(voxels, batch["voxels"], params.positive_weight),
        "iou": iou_loss(voxels.sigmoid(), batch["voxels"], axes=3).mean(),
        "kl": kl_divergence(codes.mean, codes.log_variance),
        **pose,
    }
    total = terms["mask"] + terms["voxels"] + terms["iou"] + terms["consistency"]
    total = total + params.kl_weight * terms["kl"]
    if params.pose_hypotheses > 1:
        total = total + params.choice_weight * terms["choice"]
    return {"loss": total, **{name: term.detach() for name, term in terms.items()}}
