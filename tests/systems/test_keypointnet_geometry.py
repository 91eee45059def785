"""KeypointNet: rotations between sets of points against SciPy's, cameras against ours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from stages.geometry import cameras as viewing
from stages.geometry.rotations import geodesic
from stages.systems.keypointnet.geometry import Cameras, backproject, project, same_proportions
from stages.systems.keypointnet.procrustes import nearest_rotation, relative_rotation
from tests.systems.keypoints import B, K, keypoints, random_cameras

# --- Procrustes


@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_between_sets_is_scipys(mirrored: bool) -> None:
    """Of sets with much noise, and of mirrored ones, whose best orthogonal map is a reflection."""
    rng = np.random.default_rng(0)
    turns = Rotation.random(20, random_state=1).as_matrix()
    second = rng.normal(size=(20, 7, 3))
    first = second @ turns.transpose(0, 2, 1) + 0.3 * rng.normal(size=second.shape)
    if mirrored:
        first = first * [-1, 1, 1]
    ours = relative_rotation(
        torch.from_numpy(np.add(first, [1, 2, 3])), torch.from_numpy(second - [4, 0, 1])
    )
    for a, b, found in zip(first, second, ours.numpy()):
        expected, _ = Rotation.align_vectors(a - a.mean(0), b - b.mean(0))
        np.testing.assert_allclose(found, expected.as_matrix(), atol=1e-10)


def test_rotation_between_views_takes_the_second_camera_to_the_first() -> None:
    cameras = random_cameras(2 * B, stretch=1.0)
    one, two = cameras.halves()
    points = cameras.see(keypoints())
    found = relative_rotation(*points.chunk(2))
    torch.testing.assert_close(found, one.rotation @ two.rotation.mT, atol=1e-12, rtol=0)


@pytest.mark.parametrize("mirrored", [False, True])
def test_gradient_of_the_rotation_is_that_of_differences(mirrored: bool) -> None:
    matrices = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(3)).double()
    flip = torch.linalg.det(matrices) < 0 if not mirrored else torch.linalg.det(matrices) > 0
    matrices = torch.where(flip[:, None, None], -matrices, matrices).requires_grad_()
    weight = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(4)).double()
    # the damping of undetermined turns is 1e-6 of the gradient where they are determined
    assert torch.autograd.gradcheck(
        lambda m: (nearest_rotation(m) * weight).sum(), matrices, atol=1e-4, rtol=1e-4
    )


LINE = torch.linspace(-1, 1, K)[:, None] * torch.tensor([0.2, 0.1, -0.3])
DEGENERATE = {
    "line": LINE,
    "point": torch.zeros(K, 3),
    "plane": torch.randn(K, 3, generator=torch.Generator().manual_seed(0))
    * torch.tensor([1, 1, 0]),
    "mirrored": keypoints().float() * torch.tensor([-1.0, 1, 1]),
    "equal": keypoints().float(),
}


@pytest.mark.parametrize("kind", DEGENERATE)
def test_gradient_is_finite_for_any_sets(kind: str) -> None:
    """Also for those whose rotation is not determined, and for one without error."""
    first = DEGENERATE[kind].clone()[None].requires_grad_()
    second = keypoints().float()[None].requires_grad_()
    geodesic(relative_rotation(first, second), torch.eye(3)[None]).sum().backward()
    for points in (first, second):
        assert points.grad.isfinite().all()
        assert points.grad.abs().max() < 1e4
    both = DEGENERATE[kind].clone()[None].requires_grad_()
    geodesic(relative_rotation(both, both), torch.eye(3)[None]).sum().backward()
    assert both.grad.isfinite().all()


def test_rotation_of_keypoints_that_are_not_finite_is_nan() -> None:
    """So that training names the loss that is not finite; SVD would fail."""
    points = keypoints().repeat(2, 1, 1)
    broken = points.clone()
    broken[1, 0, 0] = torch.nan
    found = relative_rotation(broken, points)
    assert found[1].isnan().all()
    torch.testing.assert_close(found[0], torch.eye(3).double(), atol=1e-12, rtol=0)


# --- geometry


def test_points_are_where_the_cameras_of_the_project_see_them() -> None:
    viewpoint = np.array([30.0, 20.0, 10.0, 2.0])
    matrix, lens = viewing.extrinsics(viewpoint), viewing.intrinsics(128)
    points = keypoints()
    cameras = Cameras(
        torch.from_numpy(matrix[None, :, :3].copy()),
        torch.from_numpy(matrix[None, :, 3].copy()),
        torch.ones(1, 3, dtype=torch.float64),
    )
    inside = cameras.see(points)
    expected = viewing.project(points.numpy(), matrix, lens)
    np.testing.assert_allclose((project(inside)[0] + 1) * 64, expected[:, :2], atol=1e-10)
    np.testing.assert_allclose(inside[0, :, 2], expected[:, 2], atol=1e-12)
    back = backproject(project(inside), inside[..., 2])
    torch.testing.assert_close(back, inside, atol=1e-12, rtol=0)
    torch.testing.assert_close(cameras.locate(inside)[0], points, atol=1e-12, rtol=0)


def test_a_stretched_view_is_brought_to_other_proportions() -> None:
    cameras = random_cameras(2 * B)
    one, two = cameras.halves()
    points = keypoints()
    moved = same_proportions(two.see(points), two, one.scale)
    expected = (points * one.scale[:, None]) @ two.rotation.mT + two.translation[:, None]
    torch.testing.assert_close(moved, expected, atol=1e-12, rtol=0)
