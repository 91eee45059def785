"""3D skeletons and viewpoints told of pictures, beside the truth (3D-INN, section 4.2).

One item is one shape with all its views. What is measured are the network after step joint, the
same before it (estimator and interpreter as the two steps left them), and the optimisation on the
keypoints that the network before it tells.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.evaluate.answers import network
from stages.evaluate.landmarked import network_before, read_pictures, say
from stages.evaluate.measure import RunParams
from stages.evaluate.skeleton_metrics import aligned_rmse, shape_rmse
from stages.stage import Arrays, ArraySpec, Item, Stage

NAME = "skeleton"
VERSION = 1
METHODS = ("after", "before", "optimisation", "mean shape")
PEAK = 0.1  # height from which a keypoint counts for the optimisation

_M = ("view", "method")
SPEC = {
    "rmse": ArraySpec("float32", _M, "diagonals, as `shape_rmse`", unknown=True),
    "aligned_rmse": ArraySpec("float32", _M, "diagonals, as `aligned_rmse`", unknown=True),
    "reprojection": ArraySpec("float32", _M, "pixels of 240 x 320, mean", unknown=True),
    "azimuth_deg": ArraySpec("float32", _M, "degrees", unknown=True),
    "true_azimuth_deg": ArraySpec("float32", ("view",), "degrees"),
    "score": ArraySpec("float32", ("view",), "mean height of the peaks"),
    "alpha": ArraySpec("float32", ("view", "base"), "after step joint"),
    "rotation": ArraySpec(
        "float32", ("view", "row", "column"), "after, skeleton to camera", shape=(None, 3, 3)
    ),
}


def process(item: Item, params: RunParams, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC; `item.source`: folders of the `run`, `marks`, `views`, and `device`."""
    from stages.skeletons.projection import in_frame
    from stages.skeletons.template import TO_CANONICAL
    from stages.systems.interpreter.model import template_of
    from stages.systems.interpreter.structures import azimuth_deg

    source = item.source
    trained = network(source["run"], params.weights, source["device"])
    found = read_pictures(source, item.id, trained)
    after = say(trained, found["image"], source["device"])
    earlier = network_before(source["run"], params.weights, source["device"])
    before = say(earlier, found["image"], source["device"])
    template = template_of(trained.params)
    optimised = _optimised(template, trained.params.ranges, before)
    truth, known = found["turned"].numpy().astype(float), found["known"].numpy()
    pixels = found["keypoints"].numpy()
    labelled = known & in_frame(pixels)
    views = len(pixels)
    mean = np.broadcast_to(template.bases[0], (views, *template.bases[0].shape))
    nothing = np.full(views, np.nan)
    rows: dict[str, list[np.ndarray]] = {n: [] for n in list(SPEC)[:4]}
    shape = np.broadcast_to(found["truth"], (views, *found["truth"].shape))
    told = (after, before, optimised)
    for points in (*(t["points"] for t in told), mean):
        # the shape itself (Y in the paper), not as the camera sees it
        rows["rmse"].append(shape_rmse(points, shape, known))
        rows["aligned_rmse"].append(aligned_rmse(points, truth, known))
    for one in told:
        away = np.linalg.norm(one["projected"] - pixels, axis=-1)
        rows["reprojection"].append(
            np.where(
                labelled.any(1),
                np.where(labelled, away, 0).sum(1) / np.maximum(labelled.sum(1), 1),
                np.nan,
            )
        )
        rows["azimuth_deg"].append(azimuth_deg(one["rotation"]))
    for name in ("reprojection", "azimuth_deg"):
        rows[name].append(nothing)
    turn = found["extrinsics"][:, :, :3] @ TO_CANONICAL
    return {
        **{name: np.stack(values, 1).astype(np.float32) for name, values in rows.items()},
        "true_azimuth_deg": azimuth_deg(turn).astype(np.float32),
        "score": after["confidence"].mean(1).astype(np.float32),
        "alpha": after["alpha"].astype(np.float32),
        "rotation": after["rotation"].astype(np.float32),
    }


def _optimised(template: Any, ranges: str, told: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the optimisation makes of the peaks that a network tells."""
    from stages.skeletons.optimisation import solve

    seen = told["confidence"] >= PEAK
    found = solve(told["keypoints"], seen, template, template.range(ranges))
    return {"points": found.points, "projected": found.keypoints, "rotation": found.rotation}


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    RunParams,
    SPEC,
    process,
    inputs=("landmarks",),
    command=f"crossdim eval {NAME}",
)
