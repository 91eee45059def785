"""Shapes of pictures: voxels (pose-aware), point clouds (structure generator), shapes that are
known (deep encoding).

Each function turns what a network says of one picture into a `Prediction`.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from stages.errors import ItemError
from stages.evaluate.search import squared_distances
from stages.export.choose import Grid
from stages.export.clouds import cloud_picture
from stages.export.files import mesh_bytes, voxel_bytes
from stages.export.pictures import picture
from stages.export.points import point_bytes, thickened
from stages.geometry import cameras, rotations
from stages.geometry.voxels import to_mesh
from stages.predict.drawing import coloured_mesh, grey, turned, turned_mesh
from stages.predict.images import Seen
from stages.predict.networks import Network
from stages.predict.prediction import Beside, Prediction, Tile, pose_of

_NEAR_DEG = 30.0  # hypotheses within this of the chosen one speak for it
_FOUND = 5  # training shapes that are named
_RES, _RADIUS = 96, 0.02  # of the surface of a cloud, as of `crossdim export mesh`
_ORANGE = np.array([217, 115, 51])


def asked(network: Network, seen: Seen) -> dict[str, np.ndarray]:
    """What the network says of one picture, without the axis of the batch."""
    import torch

    image = torch.from_numpy(seen.rgb).permute(2, 0, 1)[None].float() / 255
    trained = network.trained
    told = trained.system.predict(trained.model, image.to(network.device), trained.params)
    return {name: value[0].float().cpu().numpy() for name, value in told.items()}


def pose_aware(network: Network, seen: Seen, beside: Beside) -> Prediction:
    """Voxels, their surface, the mask and the camera.

    Confidences: `pose`, the scores of all hypotheses within 30 degrees of the chosen one; `shape`,
    the IoU that is expected if the probabilities of the voxels are right; `mask`, the IoU of the
    predicted mask with that of the picture, where it has one.
    """
    told = asked(network, seen)
    view, values = told["viewpoint"], told["voxels"]
    angles = np.radians(view[:3].astype(np.float64))
    rotation = rotations.camera(*angles)
    grid = Grid(values, np.full(3, -0.5), 1.0, network.threshold)
    try:
        mesh = coloured_mesh(to_mesh(values, grid.origin, grid.extent, grid.threshold))
    except ItemError:
        mesh = None
    confidence = {
        "pose": _agreeing(told["hypotheses"], told["scores"], rotation),
        "shape": expected_iou(values, network.threshold),
    }
    if seen.mask is not None:
        confidence["mask"] = _mask_iou(told["mask"], seen.mask)
    files = {".binvox": voxel_bytes(grid, ".binvox")}
    if mesh is not None:
        files[".glb"] = mesh_bytes(mesh, ".glb")
    tiles = [
        Tile("predicted mask", grey((255 * told["mask"]).round().astype(np.uint8))),
        Tile("as it is seen", picture(mesh, view)),
        *turned_mesh(mesh),
    ]
    facts = {
        "voxels": {
            "res": len(values),
            "threshold": network.threshold,
            "threshold_from": network.threshold_from,
            "filled": int((values >= network.threshold).sum()),
        }
    }
    return Prediction(files, tuple(tiles), pose_of(rotation), "", confidence, facts)


def _agreeing(hypotheses: np.ndarray, scores: np.ndarray, rotation: np.ndarray) -> float:
    """The scores (K,) of the hypotheses (K, 2) in degrees that lie near the chosen rotation."""
    azimuth, elevation = np.radians(hypotheses.astype(np.float64)).T
    each = rotations.camera(azimuth, elevation)
    away = np.degrees(rotations.geodesic(each, np.broadcast_to(rotation, each.shape)))
    return float(scores[away <= _NEAR_DEG].sum())


def expected_iou(probability: np.ndarray, threshold: float) -> float:
    """What the IoU of voxels at a threshold would be on average, were the probabilities right.

    The expected intersection over the expected union; 0 where nothing is filled.
    """
    solid = probability >= threshold
    inside = float(probability[solid].sum())
    union = float(solid.sum() + probability[~solid].sum())
    return inside / union if union > 0 else 0.0


def _mask_iou(told: np.ndarray, coverage: np.ndarray) -> float:
    """IoU of the predicted mask (48, 48) with a coverage (S, S), both from a half on."""
    import torch

    from stages.systems.pose_aware.data import average_masks

    small = average_masks(torch.from_numpy(coverage).float() / 255).numpy() >= 0.5
    solid = told >= 0.5
    either = (small | solid).sum()
    return float((small & solid).sum() / either) if either else 1.0


def structure_generator(network: Network, seen: Seen, beside: Beside) -> Prediction:
    """A point cloud in the canonical frame, and a surface around it.

    Confidence `shape`: the mean probability of the points that are kept.
    """
    told = asked(network, seen)
    kept = told["logit"] > 0
    points = np.ascontiguousarray(told["points"].T[kept])
    missing = "the structure generator tells shapes in the canonical frame, and no pose"
    if not len(points):
        facts = {"points": 0, "note": "it takes no pixel for the object: the cloud is empty"}
        return Prediction(pose_missing=missing, confidence={"shape": 0.0}, facts=facts)
    grid = thickened(points, _RES, _RADIUS)
    mesh = to_mesh(grid.values, grid.origin, grid.extent, grid.threshold)
    logit = told["logit"][kept].astype(np.float64)
    files = {
        ".ply": point_bytes(points, ".ply"),
        ".glb": mesh_bytes(coloured_mesh(mesh), ".glb"),
    }
    tiles = turned(lambda view: cloud_picture(points, view, _ORANGE))
    confidence = {"shape": float((1 / (1 + np.exp(-logit))).mean())}
    return Prediction(files, tuple(tiles), None, missing, confidence, {"points": len(points)})


def deep_encoding(network: Network, seen: Seen, beside: Beside) -> Prediction:
    """The code of the picture and the training shapes whose codes are nearest.

    Confidence `nearest`: by how much the second shape is farther than the first, as a share of its
    distance.
    """
    code = asked(network, seen)["code"]
    missing = "codes tell no pose"
    arrays: dict[str, Any] = {"code": code}
    tiles: list[Tile] = []
    files: dict[str, bytes] = {}
    confidence: dict[str, float] = {}
    if network.gallery is None:
        facts: dict[str, Any] = {
            "nearest": None,
            "nearest_missing": "no codes of shapes are at hand: give some with --codes",
        }
    else:
        ids, codes = network.gallery
        squares = squared_distances(code[None].astype(np.float64), codes.astype(np.float64))[0]
        distance = np.sqrt(np.maximum(squares, 0))
        order = np.argsort(distance, kind="stable")[:_FOUND]
        facts = {
            "searched": len(ids),
            "nearest": [{"shape": ids[n], "distance": round(float(distance[n]), 4)} for n in order],
        }
        arrays["nearest"] = np.array([ids[n].encode() for n in order])
        if len(order) > 1 and distance[order[1]] > 0:
            first, second = distance[order[:2]]
            confidence["nearest"] = float(1 - first / second)
        found = beside.meshes.get(ids[order[0]])
        if found is not None:
            files[".glb"] = mesh_bytes(found, ".glb")
            tiles = turned_mesh(found)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    files[".npz"] = buffer.getvalue()
    return Prediction(files, tuple(tiles), None, missing, confidence, facts)


def viewpoint_of(rotation: np.ndarray) -> np.ndarray:
    """(4,) the viewpoint of a rotation at the usual distance."""
    return cameras.viewpoints_of(rotation[None])[0].astype(np.float32)
