"""pyrender and the rasteriser draw the same pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from stages.geometry.mesh import Mesh
from stages.render import backend
from tests.render.models import box, joined, load_open_model, open_model_rows, textured_quad
from tests.render.shots import SIDE, shoot

SIZE = 128
# Viewpoints, and factors of the shape along x, y, z.
SHOTS = (
    ((40.0, 30.0, 0.0, 2.0), (1.0, 1.0, 1.0)),
    ((205.0, -10.0, 0.0, 2.0), (1.0, 1.0, 1.0)),
    ((120.0, 15.0, -70.0, 1.7), (0.8, 1.25, 1.1)),
)
# With and without textures, from 800 to 45,000 faces, six categories.
MODELS = (
    "f16",
    "fokker-70-f70",
    "c182rg",
    "torcs-car5-trb1",
    "scopia-bar-table",
    "cc-by-biurko3",
    "cc-0-technicaltable2",
    "cc-0-sofa2",
    "katorlegaz-mid-century-chair",
    "cc-0-bed1",
)


@pytest.fixture(autouse=True)
def _needs_gl() -> None:
    if not backend.gl_device():
        pytest.skip("OpenGL does not start through EGL on this machine")


def check(mesh: Mesh) -> None:
    for viewpoint, factors in SHOTS:
        scale = np.array(factors)
        ours, our_depth = shoot(mesh, viewpoint, SIZE, SIDE, scale=scale)
        gl, gl_depth = shoot(mesh, viewpoint, SIZE, SIDE, name="pyrender", scale=scale)
        # GL snaps corners to 1/256 of a pixel: only pixels that an edge of the silhouette
        # crosses may differ, those that are neither covered nor free in all of 9 x 9 samples.
        _, fine = shoot(mesh, viewpoint, SIZE * 9, SIDE, scale=scale)
        covered = (fine > 0).reshape(SIZE, 9, SIZE, 9).mean((1, 3))
        differ = (our_depth > 0) != (gl_depth > 0)
        assert not (differ & ((covered == 0) | (covered == 1))).any()
        assert differ.sum() <= 5
        both = (our_depth > 0) & (gl_depth > 0)
        assert both.sum() > 500
        # Measured: at most 0.3 of 255; the rest is faces at one place and bits of texture weights.
        assert np.abs(ours[both].astype(int) - gl[both]).mean() <= 1
        # Depth differs where an inner edge is a hair's breadth from the centre of the pixel.
        near = np.abs(our_depth - gl_depth)[both] < 1e-4
        assert near.mean() > 0.99


@pytest.mark.parametrize("name", MODELS)
def test_real_models_look_the_same(shared_data: Path, name: str) -> None:
    folder = shared_data / "openmodels"
    check(load_open_model(folder, open_model_rows(folder)[name]))


def test_generated_meshes_look_the_same() -> None:
    ring = trimesh.creation.torus(0.3, 0.1)
    ball = trimesh.creation.icosphere(3, 0.2)
    check(
        joined(
            Mesh.plain(ring.vertices, ring.faces, (0.8, 0.3, 0.2, 1)),
            Mesh.plain(ball.vertices, ball.faces[:, ::-1], (0.2, 0.5, 0.9, 0.7)),
            box((-0.4, -0.1, -0.3), (0.4, 0.3, -0.2), (0.3, 0.7, 0.3, 1)),
        )
    )
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 4)).astype(np.uint8)
    check(textured_quad(np.repeat(np.repeat(image, 4, 0), 4, 1)))  # with holes
