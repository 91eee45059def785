"""The four losses: naive loops, pytorch-metric-learning, differences, and what they leave free."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import LiftedStructureLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchEasyHardMiner
from pytorch_metric_learning.reducers import MeanReducer

from stages.systems import deep_encoding
from stages.systems.deep_encoding.metric_losses import lifted, lifted_safe, triplet
from stages.systems.deep_encoding.mining import mine
from stages.systems.deep_encoding.objective import Codes, modality_gap, objective

C, M = 128, 24  # the paper's code and batch
PAPER = deep_encoding.PRESETS["paper"]
LOSSES = ("triplet", "symmetric", "lifted", "lifted-safe")


def drawn(seed: int = 0, count: int = M, length: int = C, scale: float = 1.0) -> Codes:
    """Codes of different objects, the negative pictures of others of them; float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal() -> torch.Tensor:
        return scale * torch.randn(count, length, generator=generator, dtype=torch.float64)

    objects = torch.randperm(1000, generator=generator)[:count]
    steps = torch.randint(1, count, (count,), generator=generator)
    other = objects[(torch.arange(count) + steps) % count]
    return Codes(normal(), normal(), normal(), objects, other)


def of(codes: Codes, loss: str, **more: object) -> torch.Tensor:
    return objective(codes, dataclasses.replace(PAPER, loss=loss, **more))


# --- their values


def test_the_triplet_loss_is_equation_1() -> None:
    codes = drawn(scale=0.2)  # some terms are 0: they count in the mean
    total, zeros = 0.0, 0
    for v, p, n in zip(codes.voxel.numpy(), codes.positive.numpy(), codes.negative.numpy()):
        term = max(np.linalg.norm(p - v) ** 2 - np.linalg.norm(n - v) ** 2 + 1.0, 0.0)
        total, zeros = total + term, zeros + (term == 0)
    assert 0 < zeros < M
    assert of(codes, "triplet").item() == pytest.approx(total / M, rel=1e-12)


def test_the_triplet_loss_is_the_librarys_where_definitions_coincide() -> None:
    """Which by default has plain distances of normalised codes, and leaves zeros out."""
    codes = drawn(1, scale=0.2)
    distance = LpDistance(normalize_embeddings=False, power=2)
    theirs = TripletMarginLoss(margin=1, distance=distance, reducer=MeanReducer())
    places = torch.arange(M)
    pictures, _ = codes.pictures()
    expected = theirs(
        codes.voxel, indices_tuple=(places, places, places + M), ref_emb=pictures, ref_labels=None
    )
    assert of(codes, "triplet").item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_symmetric_loss_has_pictures_as_anchors_too() -> None:
    """Against loops: the negative of a picture is the next voxels of another object."""
    codes = drawn(2, count=6, length=3)
    codes = dataclasses.replace(codes, object=torch.tensor([4, 4, 7, 1, 9, 4]))
    negatives = [2, 2, 3, 4, 5, 2]  # of place 5, whose object is 4: round to 2
    total = 0.0
    for i, k in enumerate(negatives):
        v, p, n, w = codes.voxel[i], codes.positive[i], codes.negative[i], codes.voxel[k]
        total += max(float(((p - v) ** 2).sum() - ((n - v) ** 2).sum() + 1), 0)
        total += max(float(((p - v) ** 2).sum() - ((p - w) ** 2).sum() + 1), 0)
    assert of(codes, "symmetric").item() == pytest.approx(total / 12, rel=1e-12)


def naive_lifted(codes: np.ndarray, labels: np.ndarray, margin: float) -> float:
    """Equation 4 of Oh Song et al. (2016), pair by pair."""
    pairs = []
    for i in range(len(codes)):
        for j in range(i + 1, len(codes)):
            if labels[i] == labels[j]:
                negatives = [
                    np.exp(margin - np.linalg.norm(codes[a] - codes[k]))
                    for a in (i, j)
                    for k in range(len(codes))
                    if labels[k] != labels[a]
                ]
                pairs.append(np.log(sum(negatives)) + np.linalg.norm(codes[i] - codes[j]))
    return sum(max(0.0, pair) ** 2 for pair in pairs) / (2 * len(pairs))


@pytest.mark.parametrize("scale", [0.05, 1.0, 3.0])
def test_both_forms_of_lifted_structure_are_its_equation(scale: float) -> None:
    generator = torch.Generator().manual_seed(3)
    codes = scale * torch.randn(14, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (14,), generator=generator)
    expected = naive_lifted(codes.numpy(), labels.numpy(), 1.0)
    assert lifted(codes, labels, 1.0).item() == pytest.approx(expected, rel=1e-12)
    assert lifted_safe(codes, labels, 1.0).item() == pytest.approx(expected, rel=1e-12)
    theirs = LiftedStructureLoss(distance=LpDistance(normalize_embeddings=False))
    assert theirs(codes, labels).item() == pytest.approx(expected, rel=1e-6)


def test_lifted_structure_sees_all_codes_of_a_batch() -> None:
    """Voxels once, pictures with the objects that they show."""
    codes = drawn(4, count=5, length=4)
    everything = torch.cat([codes.voxel, codes.positive, codes.negative]).numpy()
    labels = torch.cat([codes.object, codes.object, codes.other]).numpy()
    expected = naive_lifted(everything, labels, 1.0)
    assert of(codes, "lifted").item() == pytest.approx(expected, rel=1e-12)
    assert of(codes, "lifted-safe").item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_differences(loss: str) -> None:
    codes = drawn(5, count=5, length=3)

    def value(voxel: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        moved = dataclasses.replace(codes, voxel=voxel, positive=positive, negative=negative)
        return of(moved, loss)

    inputs = [t.requires_grad_() for t in (codes.voxel, codes.positive, codes.negative)]
    assert torch.autograd.gradcheck(value, inputs)


def gradient(form, codes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    codes = codes.clone().requires_grad_()
    form(codes, labels, 1.0).backward()
    return codes.grad


def test_the_printed_lifted_structure_breaks_where_the_safe_one_does_not() -> None:
    """On equal codes of one object, and on codes so far apart that float32 has no e^-D."""
    generator = torch.Generator().manual_seed(6)
    codes = torch.randn(8, 4, generator=generator)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    torch.testing.assert_close(
        gradient(lifted, codes, labels), gradient(lifted_safe, codes, labels), atol=1e-5, rtol=1e-4
    )
    codes[1] = codes[0]
    assert gradient(lifted, codes, labels).isnan().any()
    assert gradient(lifted_safe, codes, labels).isfinite().all()
    far = torch.randn(8, 4, generator=generator)
    far[1::2] = far[::2] + 0.1
    far += 300 * labels[:, None]
    assert not gradient(lifted, far, labels).isfinite().all()
    assert gradient(lifted_safe, far, labels).isfinite().all()
    near = torch.stack([torch.zeros(4), torch.full((4,), 300.0)])
    wrong = torch.cat([near, near])  # of each object one code here and one there
    expected = naive_lifted(wrong.double().numpy(), np.array([0, 1, 1, 0]), 1.0)
    told = lifted_safe(wrong, torch.tensor([0, 1, 1, 0]), 1.0)
    assert told.item() == pytest.approx(expected, rel=1e-5)


# --- what they leave free: the theorem of docs/deep_encoding.md


def outside(vectors: torch.Tensor) -> torch.Tensor:
    """(C,) a unit vector orthogonal to all `vectors` (N, C)."""
    _, values, basis = torch.linalg.svd(vectors)
    rank = int((values > 1e-9 * values[0]).sum())
    assert rank < basis.shape[1]
    return basis[-1]


@pytest.mark.parametrize("shift", [1.0, 1000.0])
def test_voxels_may_be_moved_away_from_pictures_for_nothing(shift: float) -> None:
    """By a vector orthogonal to all p - n, which a batch of 24 leaves 104 dimensions for."""
    codes = drawn(7)
    away = shift * outside(codes.positive - codes.negative)
    moved = dataclasses.replace(codes, voxel=codes.voxel + away)
    before, after = of(codes, "triplet"), of(moved, "triplet")
    # 1e6 is added to squared distances of about 256, whose difference keeps 10 of 16 digits
    assert after.item() == pytest.approx(before.item(), rel=1e-8)
    assert modality_gap(moved.voxel, moved.pictures()[0]) > 0.05 * shift
    for loss in LOSSES[1:]:
        assert abs(of(moved, loss) - of(codes, loss)) > 1e-3 * of(codes, loss)
    within = dataclasses.replace(codes, voxel=codes.voxel + (codes.positive - codes.negative)[0])
    assert abs(of(within, "triplet") - before) > 0.1  # it is these directions alone


def test_the_gradient_never_pulls_voxels_out_of_the_span_of_pictures() -> None:
    """The gradient of each voxel code is 2 (n - p) or 0: whatever lies outside stays there."""
    codes = drawn(8)
    voxel = codes.voxel.clone().requires_grad_()
    of(dataclasses.replace(codes, voxel=voxel), "triplet").backward()
    expected = 2 * (codes.negative - codes.positive) / M
    terms = triplet(codes.voxel, codes.positive, codes.negative, 1.0)
    torch.testing.assert_close(voxel.grad, expected * (terms > 0)[:, None])


def test_the_symmetric_loss_leaves_free_what_is_outside_of_both_spans() -> None:
    """Of p - n, and of the differences of voxels: less, but not nothing."""
    codes = drawn(9)
    differences = torch.cat([codes.positive - codes.negative, codes.voxel[1:] - codes.voxel[:-1]])
    moved = dataclasses.replace(codes, voxel=codes.voxel + 100 * outside(differences))
    assert of(moved, "symmetric").item() == pytest.approx(of(codes, "symmetric").item(), rel=1e-8)
    assert abs(of(moved, "lifted-safe") - of(codes, "lifted-safe")) > 100


def test_the_gap_of_one_cloud_is_small_and_of_two_is_their_distance() -> None:
    generator = torch.Generator().manual_seed(10)
    first = torch.randn(400, 8, generator=generator)
    second = torch.randn(300, 8, generator=generator)
    # the means of n codes are sqrt(C / n) apart by chance, the codes sqrt(2 C)
    assert modality_gap(first, second) < 0.1
    second[:, 0] += 30
    assert modality_gap(first, second).item() == pytest.approx(30 / np.sqrt(2 * 8 - 1), rel=0.05)


# --- mining


def naive_negative(anchor, positive, candidates, other, kind: str) -> int:
    away = {n: float((anchor - c).norm()) for n, c in enumerate(candidates) if other[n]}
    if kind == "semihard":
        beyond = {n: d for n, d in away.items() if d > float((anchor - positive).norm())}
        if not beyond:
            return max(away, key=away.__getitem__)
        away = beyond
    return min(away, key=away.__getitem__)


@pytest.mark.parametrize("kind", ["semihard", "hard"])
def test_mined_negatives_against_loops_and_the_library(kind: str) -> None:
    codes = drawn(11, count=20, length=3)
    codes = dataclasses.replace(codes, positive=codes.voxel + 0.7 * codes.positive)
    pictures, objects = codes.pictures()
    other = objects != codes.object[:, None]
    chosen = mine(codes.voxel, codes.positive, pictures, other, kind)
    for n, place in enumerate(chosen.tolist()):
        one = naive_negative(codes.voxel[n], codes.positive[n], pictures, other[n], kind)
        assert place == one
        assert objects[place] != codes.object[n]
    # the library's miner, told of no other positives: it leaves out anchors without a semi-hard one
    theirs = BatchEasyHardMiner(
        pos_strategy="easy",
        neg_strategy=kind,
        distance=LpDistance(normalize_embeddings=False),
    )
    ref = torch.cat([codes.positive, codes.negative])
    unique = torch.cat([codes.object, codes.other + 5000])  # negatives are nobody's positives
    anchors, _, _, negatives = _pairs(theirs(codes.voxel, codes.object, ref, unique))
    apart = unique != codes.object[:, None]
    mined = mine(codes.voxel, codes.positive, ref, apart, kind)
    assert len(anchors) >= 10
    assert mined[anchors].tolist() == negatives.tolist()


def _pairs(found: tuple) -> tuple:
    return found if len(found) == 4 else (found[0], found[1], found[0], found[2])


@pytest.mark.parametrize("loss", ["triplet", "symmetric"])
def test_mining_makes_the_loss_harder(loss: str) -> None:
    codes = drawn(12, scale=0.3)
    random, semihard, hard = (of(codes, loss, mining=m) for m in ("random", "semihard", "hard"))
    assert hard > random
    assert hard > semihard


def test_the_hard_loss_takes_the_worst_of_all_that_is_allowed() -> None:
    codes = drawn(13, scale=0.3)
    pictures, objects = codes.pictures()
    total = 0.0
    for voxel, positive, item in zip(codes.voxel, codes.positive, codes.object):
        allowed = pictures[objects != item]
        worst = ((voxel - allowed) ** 2).sum(1).min()
        total += float(torch.relu(((voxel - positive) ** 2).sum() - worst + 1))
    assert of(codes, "triplet", mining="hard").item() == pytest.approx(total / M, rel=1e-9)
