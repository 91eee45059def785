"""A z-buffer rasteriser for the CPU: no GL, no display, a few milliseconds a view.

Triangles are drawn in homogeneous pixel coordinates `P = K (R x + t)` (Olano and Greer 1997):
with `p = (u, v, 1)` at a pixel centre (+0.5) and corners P0, P1, P2,

    E_i = (P_j x P_k) . p,   det = P0 . (P1 x P2),   1/z = sum(E) / det,   b_i = E_i / sum(E),

where b are the perspective-correct barycentric coordinates. A pixel is inside where no
`E_i / det` is negative, which also holds for triangles that reach behind the camera: these need no
clipping, only the test of each pixel's depth against the near plane. Two triangles that share an
edge compute exactly opposite E for it, so no pixel is drawn twice or left out; a centre exactly on
an edge belongs to the triangle on its right, for a horizontal edge to the one below. Colours are
worked out once a pixel, after the depths.
"""

from __future__ import annotations

import numpy as np

from stages.render.surface import ALPHA_CUT, NEAR, Shot, Surface, compiled

# Depths nearer to each other than this share of themselves count as equal: the face drawn first
# stays, as in a 24-bit depth buffer, instead of a pattern made by rounding.
TIE = 1e-6


class Scene:
    """A surface, ready to be seen by cameras."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface

    def shoot(self, shot: Shot) -> tuple[np.ndarray, np.ndarray]:
        """(size, size, 3) uint8 sRGB and (size, size) float32 depth along the optical axis.

        Both pictures are zero where nothing is seen.
        """
        size, rotation = shot.size, shot.extrinsics[:, :3]
        camera = shot.lens @ shot.extrinsics * np.append(shot.scale, 1.0)
        points, screen = _project(self.surface.vertices, np.ascontiguousarray(camera))
        face = np.full((size, size), -1, np.int32)
        nearness = np.zeros((size, size))  # 1/z
        _draw(self.surface, points, screen, (NEAR, ALPHA_CUT), face, nearness)
        rgb, depth = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.float32)
        lamp = np.append(rotation.T @ shot.light.towards, shot.light.ambient)
        _shade(self.surface, points, (face, nearness), lamp, 1 / shot.scale, (rgb, depth))
        return rgb, depth


@compiled
def _project(vertices, camera):
    """(V, 3) homogeneous pixel coordinates, and (V, 2) pixels where the depth is positive."""
    points = np.empty((len(vertices), 3))
    screen = np.zeros((len(vertices), 2))
    for i in range(len(vertices)):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        for k in range(3):
            points[i, k] = camera[k, 0] * x + camera[k, 1] * y + camera[k, 2] * z + camera[k, 3]
        if points[i, 2] > 0:
            screen[i, 0] = points[i, 0] / points[i, 2]
            screen[i, 1] = points[i, 1] / points[i, 2]
    return points, screen


@compiled
def _span(a, b, c, size):
    """First and last of the `size` pixels whose centre may lie between three coordinates."""
    # The slack keeps centres exactly on an edge: there E decides, not the rounding of a division.
    low = max(0.0, np.ceil(min(a, b, c) - 0.5 - 1e-6))
    high = min(size - 1.0, np.floor(max(a, b, c) - 0.5 + 1e-6))
    return low, high


@compiled
def _line(p, q, sign):
    """E = A u + B v + C of the edge from p to q, times a sign: A, B, C, whether E = 0 is inside.

    Exactly -E for the edge from q to p, of which exactly one owns its centres.
    """
    a = sign * (p[1] * q[2] - p[2] * q[1])
    b = sign * (p[2] * q[0] - p[0] * q[2])
    c = sign * (p[0] * q[1] - p[1] * q[0])
    return a, b, c, a > 0 or (a == 0 and b > 0)


@compiled
def _between(a, row, left, right):
    """The part of the pixels left to right of a row where a u + row can be positive or zero."""
    if a > 0:
        left = min(max(left, -row / a - 0.5 - 1e-3), right + 1)  # the slack again: E decides
    elif a < 0:
        right = max(min(right, -row / a - 0.5 + 1e-3), left - 1)
    return left, right


@compiled
def _determinant(p, q, r):
    return (
        p[0] * (q[1] * r[2] - q[2] * r[1])
        + p[1] * (q[2] * r[0] - q[0] * r[2])
        + p[2] * (q[0] * r[1] - q[1] * r[0])
    )


@compiled
def _draw(surface, points, screen, limits, face, nearness):
    """Writes for each pixel the nearest face and its 1/z; both (size, size), -1 and 0 before.

    limits: the depth of the near plane, and the alpha below which a texel is a hole.
    """
    size, (near, alpha_cut) = len(face), limits
    for f in range(len(surface.faces)):
        i, j, k = surface.faces[f, 0], surface.faces[f, 1], surface.faces[f, 2]
        lowest = min(points[i, 2], points[j, 2], points[k, 2])
        highest = max(points[i, 2], points[j, 2], points[k, 2])
        if highest <= near:
            continue
        left, right, top, bottom = 0.0, size - 1.0, 0.0, size - 1.0
        if lowest > near:
            left, right = _span(screen[i, 0], screen[j, 0], screen[k, 0], size)
            top, bottom = _span(screen[i, 1], screen[j, 1], screen[k, 1], size)
        if not (left <= right and top <= bottom):
            continue
        p = (points[i, 0], points[i, 1], points[i, 2])
        q = (points[j, 0], points[j, 1], points[j, 2])
        r = (points[k, 0], points[k, 1], points[k, 2])
        det = _determinant(p, q, r)
        if not abs(det) > 0:  # seen edge-on
            continue
        sign = 1.0 if det > 0 else -1.0
        a0, b0, c0, owned0 = _line(q, r, sign)
        a1, b1, c1, owned1 = _line(r, p, sign)
        a2, b2, c2, owned2 = _line(p, q, sign)
        for y in range(int(top), int(bottom) + 1):
            v = y + 0.5
            row0, row1, row2 = b0 * v + c0, b1 * v + c1, b2 * v + c2
            start, stop = _between(a0, row0, left, right)
            start, stop = _between(a1, row1, start, stop)
            start, stop = _between(a2, row2, start, stop)
            for x in range(int(np.ceil(start)), int(stop) + 1):
                u = x + 0.5
                e0, e1, e2 = a0 * u + row0, a1 * u + row1, a2 * u + row2
                if (
                    (e0 > 0 or (e0 == 0 and owned0))
                    and (e1 > 0 or (e1 == 0 and owned1))
                    and (e2 > 0 or (e2 == 0 and owned2))
                ):
                    total = e0 + e1 + e2
                    # Almost edge-on, rounding can take 1/z out of the range of the corners.
                    w = min(max(total / abs(det), 1 / highest), 1 / max(lowest, 1e-9))
                    if w <= nearness[y, x] * (1 + TIE) or w > 1 / near:
                        continue
                    if surface.cutout[f] and _alpha(surface, f, e0, e1, e2) < alpha_cut:
                        continue
                    nearness[y, x] = w
                    face[y, x] = f


@compiled
def _alpha(surface, f, e0, e1, e2):
    total = e0 + e1 + e2
    return surface.rgba[f, 3] * _texel(surface, f, e0 / total, e1 / total, e2 / total)[3]


@compiled
def _texel(surface, f, b0, b1, b2):
    """Red, green, blue, alpha (0..1) of the texture of face `f` at barycentric coordinates."""
    t, i, j, k = surface.texture[f], surface.faces[f, 0], surface.faces[f, 1], surface.faces[f, 2]
    first, height, width = surface.layout[t, 0], surface.layout[t, 1], surface.layout[t, 2]
    u = b0 * surface.uv[i, 0] + b1 * surface.uv[j, 0] + b2 * surface.uv[k, 0]
    v = b0 * surface.uv[i, 1] + b1 * surface.uv[j, 1] + b2 * surface.uv[k, 1]
    column, row = (u - np.floor(u)) * width - 0.5, (np.ceil(v) - v) * height - 0.5
    x, y = int(np.floor(column)), int(np.floor(row))  # from -1 on: the texture repeats
    fx, fy = column - x, row - y
    columns = (x if x >= 0 else width - 1, x + 1 if x + 1 < width else 0)
    rows = (y if y >= 0 else height - 1, y + 1 if y + 1 < height else 0)
    sums = (0.0, 0.0, 0.0, 0.0)
    for r, wy in ((rows[0], 1 - fy), (rows[1], fy)):
        for c, wx in ((columns[0], 1 - fx), (columns[1], fx)):
            n = first + r * width + c
            w = wy * wx / 255
            sums = (
                sums[0] + w * surface.texels[n, 0],
                sums[1] + w * surface.texels[n, 1],
                sums[2] + w * surface.texels[n, 2],
                sums[3] + w * surface.texels[n, 3],
            )
    return sums


@compiled
def _length(normals, f, corner, shrink):
    """How long the normal of a corner is when it is multiplied by `shrink`."""
    x = normals[f, corner, 0] * shrink[0]
    y = normals[f, corner, 1] * shrink[1]
    z = normals[f, corner, 2] * shrink[2]
    return max(np.sqrt(x * x + y * y + z * z), 1e-30)


@compiled
def _shade(surface, points, drawn, lamp, shrink, out):
    """Writes the sRGB colour and the depth of each pixel that shows a face.

    drawn: face and 1/z of each pixel. lamp: towards the light in the world, as long as it is
    strong, and the ambient strength. shrink: (3,) factors of the normals along x, y, z. out:
    (size, size, 3) and (size, size).
    """
    face, nearness = drawn
    rgb, depth = out
    scaled = shrink[0] != 1 or shrink[1] != 1 or shrink[2] != 1
    for y in range(len(face)):
        for x in range(len(face)):
            f = face[y, x]
            if f < 0:
                continue
            depth[y, x] = 1 / nearness[y, x]
            i, j, k = surface.faces[f, 0], surface.faces[f, 1], surface.faces[f, 2]
            p = (points[i, 0], points[i, 1], points[i, 2])
            q = (points[j, 0], points[j, 1], points[j, 2])
            r = (points[k, 0], points[k, 1], points[k, 2])
            sign = 1.0 if _determinant(p, q, r) > 0 else -1.0
            at = (x + 0.5, y + 0.5, 1.0)
            e0 = max(0.0, sign * _determinant(q, r, at))
            e1 = max(0.0, sign * _determinant(r, p, at))
            e2 = max(0.0, sign * _determinant(p, q, at))
            total = max(e0 + e1 + e2, 1e-300)
            e0, e1, e2 = e0 / total, e1 / total, e2 / total
            w0, w1, w2 = e0, e1, e2  # of the normals, which have unit length only as they are
            if scaled:
                w0 /= _length(surface.normals, f, 0, shrink)
                w1 /= _length(surface.normals, f, 1, shrink)
                w2 /= _length(surface.normals, f, 2, shrink)
            facing, square = 0.0, 1e-30
            for axis in range(3):
                n = shrink[axis] * (
                    w0 * surface.normals[f, 0, axis]
                    + w1 * surface.normals[f, 1, axis]
                    + w2 * surface.normals[f, 2, axis]
                )
                facing += n * lamp[axis]
                square += n * n
            facing *= -sign  # where corners run clockwise, det > 0, the other side is seen
            lit = lamp[3] + max(0.0, facing / np.sqrt(square))
            red, green, blue = surface.rgba[f, 0], surface.rgba[f, 1], surface.rgba[f, 2]
            if surface.texture[f] >= 0:
                texel = _texel(surface, f, e0, e1, e2)
                red, green, blue = red * texel[0], green * texel[1], blue * texel[2]
            rgb[y, x, 0] = int(min(1.0, red * lit) * 255 + 0.5)
            rgb[y, x, 1] = int(min(1.0, green * lit) * 255 + 0.5)
            rgb[y, x, 2] = int(min(1.0, blue * lit) * 255 + 0.5)
