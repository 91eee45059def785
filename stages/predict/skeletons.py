"""Skeletons of pictures, by the 3D interpreter network."""

from __future__ import annotations

import json

import numpy as np

from stages.evaluate.landmarked import say
from stages.export.pictures import TILE
from stages.export.skeletons import Shown, overlay_tiles, skeleton_bytes, skeleton_mesh
from stages.predict.drawing import turned_mesh
from stages.predict.images import Seen
from stages.predict.networks import Network
from stages.predict.prediction import Beside, Prediction, Tile, pose_of
from stages.skeletons.projection import HEIGHT
from stages.skeletons.template import TO_CANONICAL

_NEAR = 0.1  # of the picture's height


def interpreter(network: Network, seen: Seen, beside: Beside) -> Prediction:
    """Keypoints, skeleton and viewpoint.

    Confidences: `keypoints`, the mean height of the peaks, at most about 1; `pose`, the share of
    keypoints that the projected skeleton meets within 10 % of the picture's height.
    """
    from stages.systems.interpreter.data import framed
    from stages.systems.interpreter.model import template_of

    trained = network.trained
    template = template_of(trained.params)
    image, _ = framed(seen.rgb[None], trained.params.height)
    shown, _ = framed(seen.rgb[None], HEIGHT)
    told = {name: value[0] for name, value in say(trained, image, network.device).items()}
    whole = Shown("", shown[0].permute(1, 2, 0).numpy(), told, None)
    said = skeleton_bytes(told, template, ".json")
    skeleton = json.loads(said)
    files = {".skeleton.json": said, ".glb": skeleton_bytes(told, template, ".glb")}
    rotation = told["rotation"].astype(np.float64) @ TO_CANONICAL.T
    away = np.linalg.norm(told["keypoints"] - told["projected"], axis=1)
    confidence = {
        "keypoints": float(np.clip(told["confidence"], 0, 1).mean()),
        "pose": float((away <= _NEAR * HEIGHT).mean()),
    }
    titles = ("keypoints", "skeleton over it")
    tiles = [Tile(t, _padded(rgb)) for t, rgb in zip(titles, overlay_tiles(whole, template))]
    points = np.array(skeleton["points"])
    tiles += turned_mesh(skeleton_mesh(points, template.edges))
    facts = {"template": template.name, "reprojection_px_of_240x320": round(float(away.mean()), 2)}
    return Prediction(files, tuple(tiles), pose_of(rotation), "", confidence, facts)


def _padded(rgb: np.ndarray) -> np.ndarray:
    """A picture in the middle of a white square."""
    height, width = rgb.shape[:2]
    side = max(height, width, TILE)
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = rgb
    return square
