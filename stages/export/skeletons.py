"""Skeletons told of pictures, as files of other programs and drawn over their pictures.

Letters: P pictures, N keypoints.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stages.errors import InputError, UsageError
from stages.evaluate.answers import network
from stages.evaluate.landmarked import Pictures, choose_items, network_before, say
from stages.geometry.mesh import Mesh
from stages.photos.annotated import LISTING
from stages.store.guarded import Refused, call_each
from stages.store.workspace import Workspace
from stages.train.run import Run

SUFFIXES = (".json", ".obj", ".glb")
_BALL, _STICK = 0.015, 0.006  # radii, in diagonals
_SEEN = 0.1  # height of a peak from which its keypoint is drawn


class Shown(NamedTuple):
    """A picture, and what was told of it."""

    name: str
    rgb: np.ndarray  # (h, w, 3) uint8, as the network saw it
    told: dict[str, np.ndarray]  # of one picture
    before: dict[str, np.ndarray] | None


def read_images(paths: Sequence[Path]) -> list[tuple[str, np.ndarray]]:
    """Names and pictures (a, b, 3) uint8 of files, parsed in guarded processes.

    Raises InputError when one cannot be read.
    """
    found = []
    for path, result in zip(paths, call_each(_read, [str(path) for path in paths], LISTING)):
        if isinstance(result, Refused):
            raise InputError(f"{path}: {result.reason}", "give a PNG or JPEG picture")
        found.append((path.name, result))
    return found


def _read(path: str) -> np.ndarray:
    from stages.photos.pictures import read_picture

    return np.asarray(read_picture(Path(path)))


def read_views(
    workspace: Workspace, run: Run, pictures: Pictures, count: int
) -> list[tuple[str, np.ndarray]]:
    """The first view of `count` items that the run has not learnt from."""
    ids = choose_items(workspace, run, pictures)[:count]
    views = pictures.views or pictures.marks
    rgb = [views.read(item, ("rgb",))["rgb"] for item in ids]
    return [(item, one if one.ndim == 3 else one[0]) for item, one in zip(ids, rgb)]


def show(run: Run, images: Sequence[tuple[str, np.ndarray]], device: str) -> list[Shown]:
    """What a run says of named pictures (a, b, 3), and of step joint what it said before."""
    from stages.skeletons.projection import HEIGHT
    from stages.systems.interpreter.data import framed

    record = run.record()
    if record["params"]["step"] == "interpret":
        raise UsageError(f"run {run.name} looks at no pictures", "name a run of step joint")
    weights = run.best()["sha256"]
    trained = network(str(run.folder), weights, device)
    joint = record["params"]["step"] == "joint"
    earlier = network_before(str(run.folder), weights, device) if joint else None
    shown = []
    for name, rgb in images:
        image, _ = framed(rgb[None], HEIGHT)
        small, _ = framed(rgb[None], trained.params.height)
        told = {k: v[0] for k, v in say(trained, small, device).items()}
        before = {k: v[0] for k, v in say(earlier, small, device).items()} if earlier else None
        shown.append(Shown(name, image[0].permute(1, 2, 0).numpy(), told, before))
    return shown


def overlay_sheet(shown: Sequence[Shown], template: Any) -> bytes:
    """PNG, a row a picture: itself, its keypoints, the skeleton before and after step joint."""
    from PIL import Image

    rows = []
    for one in shown:
        cells = [one.rgb, _dots(one)]
        told = [t for t in (one.before, one.told) if t is not None and "projected" in t]
        cells += [_lines(one.rgb, t["projected"], template.edges) for t in told]
        rows.append(np.concatenate(cells, 1))
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(buffer, format="png")
    return buffer.getvalue()


def overlay_tiles(one: Shown, template: Any) -> list[np.ndarray]:
    """Pictures (h, w, 3) uint8: the keypoints drawn, and the projected skeleton drawn."""
    return [_dots(one), _lines(one.rgb, one.told["projected"], template.edges)]


def colours(count: int) -> list[tuple[int, int, int]]:
    """A colour a keypoint, 0 to 255, all of them different."""
    from matplotlib import colormaps

    wheel = colormaps["hsv"](np.linspace(0, 0.9, count))
    return [tuple(int(255 * v) for v in row[:3]) for row in wheel]  # type: ignore[misc]


def _dots(one: Shown) -> np.ndarray:
    from PIL import Image, ImageDraw

    image = Image.fromarray(one.rgb)
    draw = ImageDraw.Draw(image)
    points = one.told["keypoints"]
    for (x, y), height, colour in zip(points, one.told["confidence"], colours(len(points))):
        if height >= _SEEN:
            draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour, outline=(0, 0, 0))
    return np.asarray(image)


def _lines(rgb: np.ndarray, points: np.ndarray, edges: Sequence[tuple[int, int]]) -> np.ndarray:
    from PIL import Image, ImageDraw

    image = Image.fromarray((rgb // 2 + 110).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for a, b in edges:
        draw.line([*map(float, points[a]), *map(float, points[b])], fill=(200, 30, 30), width=3)
    for (x, y), colour in zip(points, colours(len(points))):
        draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour, outline=(0, 0, 0))
    return np.asarray(image)


def skeleton_bytes(told: dict[str, np.ndarray], template: Any, suffix: str) -> bytes:
    """A skeleton as JSON (all that was told), OBJ (lines) or GLB (balls and sticks).

    Canonical frame, box centred, diagonal 1; glTF is y-up by its standard.
    Raises UsageError for another suffix.
    """
    from stages.skeletons.template import TO_CANONICAL

    if suffix.lower() not in SUFFIXES:
        raise UsageError(f"cannot write a skeleton as {suffix}", f"use {', '.join(SUFFIXES)}")
    points = told["points"].astype(np.float64) @ TO_CANONICAL.T
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) / max(float(np.linalg.norm(high - low)), 1e-9)
    if suffix.lower() == ".json":
        return _json(told, template, points)
    if suffix.lower() == ".obj":
        lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points]
        lines += [f"l {a + 1} {b + 1}" for a, b in template.edges]
        return ("\n".join(lines) + "\n").encode()
    return _glb(points, template.edges)


def _json(told: dict[str, np.ndarray], template: Any, points: np.ndarray) -> bytes:
    from stages.geometry.cameras import viewpoints_of
    from stages.skeletons.template import TO_CANONICAL

    view = viewpoints_of(told["rotation"].astype(np.float64) @ TO_CANONICAL.T)
    made = {
        "template": template.name,
        "keypoint_names": list(template.keypoints),
        "edges": [list(edge) for edge in template.edges],
        "points": points.tolist(),
        "keypoints_px_of_240x320": told["keypoints"].tolist(),
        "confidence": told["confidence"].tolist(),
        "projected_px_of_240x320": told["projected"].tolist(),
        "alpha": told["alpha"].tolist(),
        "azimuth_deg": float(view[0]),
        "elevation_deg": float(view[1]),
        "inplane_deg": float(view[2]),
        "translation_px": told["translation"].tolist(),
        "focal_px": float(1 / told["inverse_focal"]),
    }
    return (json.dumps(made, indent=1) + "\n").encode()


def _glb(points: np.ndarray, edges: Sequence[tuple[int, int]]) -> bytes:
    upright = points[:, [0, 2, 1]] * [1, 1, -1]
    return bytes(_balls_and_sticks(upright, edges).export(file_type="glb"))


def skeleton_mesh(points: np.ndarray, edges: Sequence[tuple[int, int]]) -> Mesh:
    """Balls at (N, 3) keypoints, in their colours, and sticks along edges."""
    whole = _balls_and_sticks(points, edges)
    rgba, material = np.unique(whole.visual.face_colors, axis=0, return_inverse=True)
    return dataclasses.replace(
        Mesh.plain(whole.vertices, whole.faces),
        face_material=material.reshape(-1).astype(np.int32),
        material_rgba=(rgba / 255).astype(np.float32),
        material_texture=np.full(len(rgba), -1, np.int32),
    )


def _balls_and_sticks(points: np.ndarray, edges: Sequence[tuple[int, int]]) -> Any:
    import trimesh

    parts = []
    for point, (red, green, blue) in zip(points, colours(len(points))):
        ball = trimesh.creation.icosphere(2, _BALL)
        ball.apply_translation(point)
        ball.visual.face_colors = [red, green, blue, 255]
        parts.append(ball)
    for a, b in edges:
        if np.linalg.norm(points[a] - points[b]) > 1e-6:
            stick = trimesh.creation.cylinder(_STICK, segment=points[[a, b]], sections=12)
            stick.visual.face_colors = [120, 120, 120, 255]
            parts.append(stick)
    return trimesh.util.concatenate(parts)
