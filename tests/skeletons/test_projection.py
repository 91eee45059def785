"""Equation 1: against a pinhole camera, scipy's rotations and finite differences."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from stages.geometry.cameras import viewpoints_of
from stages.skeletons.projection import (
    HEIGHT,
    LEAST_DIVISOR,
    WIDTH,
    combine,
    project,
    rotation,
    unit_angles,
)
from stages.skeletons.template import TO_CANONICAL
from stages.systems.interpreter.structures import azimuth_deg

rng = np.random.default_rng(5)


def test_combine_is_the_weighted_sum():
    alpha, bases = rng.normal(size=(4, 3)), rng.normal(size=(3, 5, 3))
    expected = [sum(a * b for a, b in zip(row, bases)) for row in alpha]
    np.testing.assert_allclose(combine(alpha, bases), expected, atol=1e-12)


def test_rotation_is_rx_ry_rz():
    theta = rng.uniform(-4, 4, (20, 3))
    expected = Rotation.from_euler("XYZ", theta).as_matrix()  # capital: intrinsic
    np.testing.assert_allclose(rotation(np.sin(theta), np.cos(theta)), expected, atol=1e-12)


def test_project_is_a_pinhole_camera():
    """A camera f in front of the origin, focal length f pixels, principal point in the middle."""
    points, shift, focal = rng.normal(0, 40, (6, 8, 3)), rng.normal(0, 30, (6, 2)), 300.0
    moved = points + np.append(shift, np.full((6, 1), focal), 1)[:, None]
    lens = np.array([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]])
    flat = moved @ lens.T
    expected = flat[..., :2] / flat[..., 2:]
    told = project(points, shift, np.full(6, 1 / focal))
    np.testing.assert_allclose(told, expected, atol=1e-9)
    tensors = [torch.from_numpy(a) for a in (points, shift, np.full(6, 1 / focal))]
    np.testing.assert_allclose(project(*tensors).numpy(), expected, atol=1e-9)


def test_gradients_against_finite_differences():
    def skeleton(alpha, angles, shift, inverse):
        sine, cosine = unit_angles(angles[:, :3], angles[:, 3:])
        bases = torch.from_numpy(fixed)
        return project(combine(alpha, bases) @ rotation(sine, cosine).mT, shift, inverse)

    fixed = rng.normal(0, 1, (2, 4, 3))
    inputs = [
        torch.tensor(rng.uniform(20, 40, (3, 2))),
        torch.tensor(rng.normal(0, 1, (3, 6))),
        torch.tensor(rng.normal(0, 30, (3, 2))),
        torch.tensor(rng.uniform(0.002, 0.006, 3)),
    ]
    for value in inputs:
        value.requires_grad_()
    assert torch.autograd.gradcheck(skeleton, inputs)


def test_points_behind_the_camera_stay_finite():
    points = torch.tensor(
        [[[10.0, 0, -900.0], [10.0, 0, -299.0], [10.0, 0, 0]]], requires_grad=True
    )
    pixels = project(points, torch.zeros(1, 2), torch.tensor([1 / 300]))
    expected = [WIDTH / 2 + 10 / LEAST_DIVISOR] * 2 + [WIDTH / 2 + 10]
    np.testing.assert_allclose(pixels[0, :, 0].detach(), expected, rtol=1e-6)
    pixels.sum().backward()
    assert torch.isfinite(points.grad).all()
    assert points.grad[0, 0, 2] == 0  # its depth is out of the projection's reach


def test_angles_that_are_none():
    sine = torch.zeros(1, 3, requires_grad=True)
    told = unit_angles(sine, torch.zeros(1, 3, requires_grad=True))
    assert told[0].tolist() == [[0, 0, 0]]
    assert told[1].tolist() == [[1, 1, 1]]
    (told[0].sum() + told[1].sum()).backward()
    assert torch.isfinite(sine.grad).all()


def test_azimuth_is_that_of_the_project():
    """theta_x = pi + elevation and theta_y = -azimuth, upright: the camera of `cameras`."""
    azimuth, elevation = rng.uniform(0, 360, 12), rng.uniform(0, 30, 12)
    theta = np.radians(np.stack([180 + elevation, -azimuth, 0 * azimuth], -1))
    turn = rotation(np.sin(theta), np.cos(theta))
    np.testing.assert_allclose(np.mod(azimuth_deg(turn), 360), azimuth, atol=1e-9)
    found = viewpoints_of(turn @ TO_CANONICAL.T)  # world to camera
    np.testing.assert_allclose(found[:, 0], azimuth, atol=1e-9)
    np.testing.assert_allclose(found[:, 1], elevation, atol=1e-9)
    np.testing.assert_allclose(np.abs(found[:, 2]), 0, atol=1e-6)
