"""The angle at which rays meet the faces that they hit."""

from __future__ import annotations

import numpy as np

from stages.raycast.scan import apply, compiled


@compiled
def sines(vertices, faces, matrix, rays, face):
    """(n, n) float64 sine of the angle between each ray and the normal of its face; 0 for none.

    `face` (n, n) is what `stages.raycast.scan.scan` found for the other arguments.
    """
    out = np.zeros(face.shape)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            if face[row, column] < 0:
                continue
            f = face[row, column]
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            normal = _cross(_edge(vertices, matrix, a, b), _edge(vertices, matrix, a, c))
            ray = (
                rays.sin_theta[row] * rays.cos_phi[column],
                rays.sin_theta[row] * rays.sin_phi[column],
                rays.cos_theta[row],
            )
            area = _square(normal)
            if area > 0:
                out[row, column] = min(np.sqrt(_square(_cross(ray, normal)) / area), 1.0)
    return out


@compiled
def _edge(vertices, matrix, a, b):
    return apply(
        matrix,
        vertices[b, 0] - vertices[a, 0],
        vertices[b, 1] - vertices[a, 1],
        vertices[b, 2] - vertices[a, 2],
    )


@compiled
def _cross(u, v):
    return u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]


@compiled
def _square(u):
    return u[0] * u[0] + u[1] * u[1] + u[2] * u[2]
