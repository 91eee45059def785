"""Poses and other views of pictures.

Each function turns what a network says of one picture into a `Prediction`.
"""

from __future__ import annotations

import dataclasses
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.evaluate.answers import embed_shapes
from stages.export.pictures import picture
from stages.export.synthesis import coloured, telling
from stages.geometry import rotations
from stages.geometry.mesh import Mesh
from stages.predict.drawing import beside as row
from stages.predict.drawing import coloured_mesh, png, turned_mesh
from stages.predict.images import Seen
from stages.predict.networks import Network
from stages.predict.prediction import Beside, Prediction, Tile, pose_of
from stages.predict.shapes import asked, viewpoint_of

if TYPE_CHECKING:
    import torch

_ROLLS = 4  # turns of the picture that a regressed pose is held against
_NEAR_DEG = 30.0
_FAR_DEG, _BANDWIDTH = 45.0, 16  # of other poses that an embedding may have
_AWAY = ((0, "as it was seen"), (90, "turned by 90°"), (180, "by 180°"), (270, "by 270°"))
_AXIS = 0.45  # length of the axes that are drawn, in diagonals
_THIN = 0.012


def pose_regression(network: Network, seen: Seen, beside: Beside) -> Prediction:
    """The rotation of the camera.

    Confidence `pose`: the picture turned by quarters, and mirrored (a shape is taken for its own
    mirror image), is asked about, too; the share of those eight answers that, turned back, lie
    within 30 degrees of the answer to the picture as it is.
    """
    import torch

    trained = network.trained
    image = torch.from_numpy(seen.rgb).permute(2, 0, 1)[None].float().to(network.device) / 255
    each = torch.cat([torch.rot90(image, k, (2, 3)) for k in range(_ROLLS)])
    each = torch.cat([each, each.flip(3)])
    told = trained.system.predict(trained.model, each, trained.params)["rotation"]
    answers = told.double().cpu().numpy()
    mirror = np.diag([-1.0, 1.0, 1.0])
    back = []
    for number, answer in enumerate(answers):
        if number >= _ROLLS:  # the mirrored picture shows the mirrored shape: M R M
            answer = mirror @ answer @ mirror
        # rot90 turns the picture counter-clockwise: about the optical axis by minus a quarter
        back.append(rotations.about_z(np.array(math.pi / 2 * (number % _ROLLS))) @ answer)
    rotation = back[0]
    same = np.broadcast_to(rotation, (len(back), 3, 3))
    away = np.degrees(rotations.geodesic(np.stack(back), same))
    facts = {"spread_deg": round(float(np.median(away[1:])), 2)}
    return Prediction(
        {},
        tuple(_pose_tiles(rotation, beside)),
        pose_of(rotation),
        "",
        {"pose": float((away <= _NEAR_DEG).mean())},
        facts,
    )


def _pose_tiles(rotation: np.ndarray, beside: Beside) -> list[Tile]:
    """The axes of the object in the pose that was told, and a mesh where there is one."""
    tiles = [Tile("told axes", picture(axes_mesh(), viewpoint_of(rotation)))]
    if beside.mesh is not None:
        mesh = coloured_mesh(beside.mesh)
        tiles += [Tile("mesh, as told", picture(mesh, viewpoint_of(rotation))), *turned_mesh(mesh)]
    return tiles


def axes_mesh() -> Mesh:
    """The axes of the canonical frame as sticks: front (-y) red, left (+x) green, up (z) blue."""
    ends = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]) * _AXIS
    colours = np.array([[0.85, 0.1, 0.1, 1], [0.1, 0.65, 0.1, 1], [0.15, 0.3, 0.9, 1]], np.float32)
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * _THIN
    sides = [[0, 1, 5], [0, 5, 4], [1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7]]
    caps = [[0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7]]
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for end in ends:
        across = np.eye(3)[[n for n in range(3) if not end[n]]]  # the two other axes
        foot = square @ across
        faces.append(np.array(sides + caps) + 8 * len(vertices))
        vertices.append(np.concatenate([foot, foot + end]))
    mesh = Mesh.plain(np.concatenate(vertices), np.concatenate(faces))
    of = np.repeat(np.arange(3, dtype=np.int32), len(sides + caps))
    return dataclasses.replace(
        mesh, face_material=of, material_rgba=colours, material_texture=np.full(3, -1, np.int32)
    )


def equivariant(network: Network, seen: Seen, beside: Beside) -> Prediction:
    """The embedding; with a mesh, the pose of it that brings its embedding onto the picture's.

    Confidences: `pose`, the correlation coefficient of the two embeddings in that pose, at most 1;
    `margin`, by how much it is above the best one of poses that differ by more than 45 degrees.
    """
    import torch

    embedding = asked(network, seen)["embedding"]
    channels = telling(np.stack([embedding, np.zeros_like(embedding)]))
    tiles = [
        Tile(f"channel {n + 1}", coloured(embedding[c], float(np.abs(embedding[c]).max())))
        for n, c in enumerate(channels)
    ]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, embedding=embedding)
    files = {".npz": buffer.getvalue()}
    facts: dict[str, Any] = {"embedding": list(embedding.shape)}
    if beside.mesh is None:
        missing = "an embedding has a pose against a mesh alone: give one with --mesh or --shape"
        return Prediction(files, tuple(tiles), None, missing, {}, facts)
    from stages.raycast import cast
    from stages.sphere.alignment import align
    from stages.sphere.correlation import without_mean
    from stages.sphere.transform import sht
    from stages.systems.spherical_cnn.model import GRID

    target = embed_shapes(network.trained, cast(beside.mesh)[None], network.device)
    pair = sht(torch.from_numpy(embedding)[None], GRID), sht(target, GRID)
    found = align(*pair)
    rotation = found.rotation[0].double().numpy()
    tiles += _pose_tiles(rotation, beside)
    first, second = (without_mean(one) for one in pair)
    confidence = {"pose": float(found.score[0])}
    confidence["margin"] = confidence["pose"] - best_elsewhere(first, second, rotation)
    facts["mesh"] = beside.mesh_name
    return Prediction(files, tuple(tiles), pose_of(rotation), "", confidence, facts)


def best_elsewhere(first: torch.Tensor, second: torch.Tensor, rotation: np.ndarray) -> float:
    """The best correlation coefficient of coefficients (1, C, L, L) far from a rotation (3, 3).

    On the grid of 32^3 rotations, of those that differ from it by more than 45 degrees.
    """
    from stages.sphere.correlation import correlate, grid_rotations, inner

    volume = correlate(first, second, _BANDWIDTH)[0].numpy()  # (N, N, N)
    every = grid_rotations(_BANDWIDTH)
    cosine = ((every * rotation).sum((-2, -1)) - 1) / 2
    length = math.sqrt(float(inner(first, first).sum() * inner(second, second).sum()))
    return float(volume[cosine < math.cos(math.radians(_FAR_DEG))].max()) / max(length, 1e-30)


def view_synthesis(network: Network, seen: Seen, beside: Beside) -> Prediction:
    """The object from four sides: as it was seen, and turned about the picture's vertical."""
    import torch

    trained = network.trained
    angles = np.radians([angle for angle, _ in _AWAY])
    zero = np.zeros_like(angles)
    turn = rotations.exponential(np.stack([zero, angles, zero], 1))  # about the camera's y
    image = torch.from_numpy(seen.rgb).permute(2, 0, 1)[None].float().to(network.device) / 255
    told = trained.system.predict(
        trained.model,
        image.expand(len(turn), -1, -1, -1),
        trained.params,
        torch.from_numpy(turn).float().to(network.device),
    )
    drawn = (told["picture"] * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    tiles = [Tile(title, one) for one, (_, title) in zip(drawn, _AWAY)]
    missing = "views are turned from how the object was seen; its own pose is not told"
    facts = {"turns_deg": [angle for angle, _ in _AWAY], "axis": "the picture's vertical"}
    return Prediction({".views.png": png(row(drawn))}, tuple(tiles), None, missing, {}, facts)
