"""Rotations against SciPy, the NumPy cameras and each other."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from stages.geometry import cameras, rotations


@pytest.fixture
def angles() -> np.ndarray:
    return np.random.default_rng(0).uniform(-np.pi, np.pi, (50, 3))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_euler_zyz_is_scipys_intrinsic_zyz(angles, kind):
    ours = rotations.euler_zyz(*(kind(a) for a in angles.T))
    np.testing.assert_allclose(ours, Rotation.from_euler("ZYZ", angles).as_matrix(), atol=1e-14)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_camera_is_the_rotation_of_extrinsics(angles, kind):
    viewpoints = np.concatenate([np.degrees(angles), np.full((50, 1), 2.0)], 1)
    ours = rotations.camera(*(kind(a) for a in angles.T))
    np.testing.assert_allclose(ours, cameras.extrinsics(viewpoints)[..., :3], atol=1e-14)
    level = rotations.camera(*(kind(a) for a in angles.T[:2]))
    viewpoints[:, 2] = 0
    np.testing.assert_allclose(level, cameras.extrinsics(viewpoints)[..., :3], atol=1e-14)


def test_camera_gradient_is_that_of_extrinsics(angles):
    """Autograd against central differences of the NumPy function."""
    weight = np.random.default_rng(1).normal(size=(50, 3, 3))
    tensor = torch.tensor(angles, requires_grad=True)
    (rotations.camera(*tensor.T) * torch.as_tensor(weight)).sum().backward()

    def total(a: np.ndarray) -> np.ndarray:
        views = np.concatenate([np.degrees(a), np.ones((50, 1))], 1)
        return (cameras.extrinsics(views)[..., :3] * weight).sum((1, 2))

    step = 1e-6
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        slope = (total(angles + shift) - total(angles - shift)) / (2 * step)
        # Central differences of O(1) values: error about eps / step + step^2 = 1e-10.
        np.testing.assert_allclose(tensor.grad[:, axis], slope, atol=1e-8)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-4, 0.5, 2.0, np.pi - 1e-4, np.pi])
def test_geodesic_is_the_angle_of_the_turn(kind, size):
    rng = np.random.default_rng(2)
    base = Rotation.random(20, random_state=3).as_matrix()
    axis = rng.normal(size=(20, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    turned = base @ Rotation.from_rotvec(axis * size).as_matrix()
    # Near pi the cosine of the half angle is the root of rounding errors: 1e-8, times two.
    np.testing.assert_allclose(rotations.geodesic(kind(base), kind(turned)), size, atol=6e-8)
    if size < 1e-3:
        got = np.asarray(rotations.geodesic(kind(base), kind(turned)))
        np.testing.assert_allclose(got, size, rtol=1e-6, atol=1e-15)


def test_geodesic_of_a_half_turn_in_azimuth_is_pi_at_any_elevation():
    azimuth, elevation = np.linspace(0, 6, 7), np.radians(np.linspace(-80, 80, 7))
    angle = rotations.geodesic(
        rotations.camera(azimuth, elevation), rotations.camera(azimuth + np.pi, elevation)
    )
    np.testing.assert_allclose(angle, np.pi, atol=6e-8)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_exponential_and_logarithm_are_scipys(kind):
    vectors = np.random.default_rng(2).normal(size=(200, 3))
    vectors *= np.random.default_rng(3).uniform(0, np.pi, (200, 1)) / np.linalg.norm(
        vectors, axis=1, keepdims=True
    )
    vectors[:4] = [0, 0, 0], [1e-9, 0, 0], [1e-5, -2e-5, 0], [0, np.pi - 1e-9, 0]
    matrices = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(rotations.exponential(kind(vectors)), matrices, atol=1e-14)
    # near half a turn a matrix holds its axis to the root of the rounding error only in the naive
    # formula; through the quaternion all digits stay
    np.testing.assert_allclose(rotations.logarithm(kind(matrices)), vectors, atol=1e-12)


def test_logarithm_of_half_turns_is_one_of_the_two():
    axes = np.random.default_rng(4).normal(size=(50, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    told = rotations.logarithm(2 * axes[:, :, None] * axes[:, None] - np.eye(3))
    sign = np.sign((told * axes).sum(1, keepdims=True))
    np.testing.assert_allclose(sign * told, np.pi * axes, atol=1e-7)


def test_gradients_of_exponential_and_logarithm():
    vectors = torch.as_tensor(np.random.default_rng(5).normal(size=(6, 3))).requires_grad_()
    assert torch.autograd.gradcheck(rotations.exponential, vectors)
    assert torch.autograd.gradcheck(
        lambda v: rotations.logarithm(rotations.exponential(v)), vectors
    )
    zero = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotations.exponential, zero)
