"""The interpreter against optimisation on synthetic heatmaps with salt and pepper (figure 6).

One item is one block of test skeletons. At each level of noise both get the same heatmaps: the
interpreter the maps themselves, the optimisation the peaks of them. Whose peak is below PEAK is
missing for it. That is the paper's way, in which any grain of salt outshines a peak; beside it
stands the optimisation on maps that were smoothed by the matched filter first.
Letters: L levels, M methods, S skeletons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.evaluate.answers import network
from stages.evaluate.measure import RunParams
from stages.evaluate.skeleton import PEAK
from stages.evaluate.skeleton_metrics import aligned_rmse, shape_rmse
from stages.stage import Arrays, ArraySpec, Item, Stage
from stages.store.workspace import read_item

NAME = "skeleton-noise"
VERSION = 1
METHODS = ("interpreter", "optimisation", "optimisation, smoothed", "mean shape")

_AXES = ("level", "method", "skeleton")
SPEC = {
    name: ArraySpec("float32", _AXES, units, ragged=True, unknown=True)
    for name, units in (
        ("rmse", "diagonals, as `shape_rmse`"),
        ("aligned_rmse", "diagonals, as `aligned_rmse`"),
        ("azimuth_error_deg", "degrees, 0 to 180"),
    )
}


@dataclass(frozen=True)
class Params(RunParams):
    """A run, and how much of the maps is noise."""

    levels: tuple[float, ...] = (0.0, 0.05, 0.1, 0.15, 0.2)
    ridge: float = 1.0  # of the optimisation, square pixels


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC; `item.source`: folders of the `run` and the `skeletons`, and `device`."""
    import torch

    from stages.skeletons.projection import rotation
    from stages.systems.interpreter.heatmaps import draw, salt_and_pepper
    from stages.systems.interpreter.model import template_of
    from stages.systems.interpreter.structures import azimuth_deg

    source = item.source
    trained = network(source["run"], params.weights, source["device"])
    names = ("theta_deg", "points", "keypoints", "visible")
    arrays = read_item(source["skeletons"], item.id, names)
    keypoints, visible = (torch.from_numpy(arrays[n]) for n in ("keypoints", "visible"))
    clean = draw(keypoints, visible, trained.params.sigma)
    theta = np.radians(arrays["theta_deg"].astype(np.float64))
    turn = rotation(np.sin(theta), np.cos(theta))
    truth = arrays["points"].astype(np.float64)
    everything = np.ones(truth.shape[:2], bool)
    template = template_of(trained.params)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    rows: dict[str, list[list[np.ndarray]]] = {name: [] for name in SPEC}
    for level in params.levels:
        maps = salt_and_pepper(clean, torch.full((len(clean),), level), generator)
        answers = _answers(trained, template, maps, params, source["device"])
        for values in rows.values():
            values.append([])
        for points, told in answers:
            rows["rmse"][-1].append(shape_rmse(points, truth, everything))
            turned = truth @ turn.transpose(0, 2, 1)
            rows["aligned_rmse"][-1].append(aligned_rmse(points, turned, everything))
            away = np.full(len(truth), np.nan)
            if told is not None:
                away = np.abs((azimuth_deg(told) - azimuth_deg(turn) + 180) % 360 - 180)
            rows["azimuth_error_deg"][-1].append(away)
    return {name: np.array(values, np.float32) for name, values in rows.items()}


_Answer = tuple[np.ndarray, np.ndarray | None]


def _answers(trained: Any, template: Any, maps: Any, params: Params, device: str) -> list[_Answer]:
    """Points (S, N, 3) and rotations (S, 3, 3) of METHODS on maps (S, N, 40, 30)."""
    import torch

    from stages.skeletons.optimisation import solve
    from stages.systems.interpreter.heatmaps import peaks, smoothed

    with torch.no_grad():
        vectors = [trained.model(part.to(device))["vector"].float() for part in maps.split(256)]
        told = trained.model.projection(torch.cat(vectors))
    found: list[_Answer] = [
        (told.points.cpu().double().numpy(), told.rotation.cpu().double().numpy())
    ]
    ranges = template.range(trained.params.ranges)
    for one in (maps, smoothed(maps, trained.params.sigma)):
        pixels, height = (array.double().numpy() for array in peaks(one))
        solved = solve(pixels, height >= PEAK, template, ranges, params.ridge)
        found.append((solved.points, solved.rotation))
    mean = np.broadcast_to(template.bases[0], (len(maps), *template.bases[0].shape))
    return [*found, (mean, None)]


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    Params,
    SPEC,
    process,
    inputs=("skeletons",),
    command="crossdim eval skeleton",
)
