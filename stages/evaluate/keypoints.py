"""2D keypoints told of pictures, beside the truth (3D-INN, section 4.1).

One item is one shape with all its views, or one photo. Coordinates are pixels of 240 x 320.
Labelled are the keypoints in the picture, of rendered views the hidden ones as well.
"""

from __future__ import annotations

import numpy as np

from stages.evaluate.answers import network
from stages.evaluate.landmarked import read_pictures, say
from stages.evaluate.measure import RunParams
from stages.stage import Arrays, ArraySpec, Item, Stage

NAME = "keypoints"
VERSION = 2
# The peaks after the refinement and before it; of step joint also the projected skeleton; what the
# fine level makes of the refined ones.
METHODS = ("refined", "rough", "projected", "fine")
TORSO = ("lsho", "rhip")  # keypoints that people's PCK is relative to (FLIC)

_PIXELS = "pixels of 240 x 320"
SPEC = {
    "told": ArraySpec(
        "float32",
        ("view", "method", "keypoint", "uv"),
        _PIXELS,
        "image",
        shape=(None, None, None, 2),
        unknown=True,
    ),
    "truth": ArraySpec(
        "float32", ("view", "keypoint", "uv"), _PIXELS, "image", shape=(None, None, 2)
    ),
    "labelled": ArraySpec("bool", ("view", "keypoint"), "known, and in the picture"),
    "visible": ArraySpec("bool", ("view", "keypoint")),
    "confidence": ArraySpec("float32", ("view", "keypoint"), "height of the peak"),
    "sigma": ArraySpec("float32", ("view", "keypoint"), "pixels, of the annotators", unknown=True),
    "length": ArraySpec("float32", ("view",), "pixels, that PCK is relative to"),
    "torso": ArraySpec("float32", ("view",), "pixels; NaN where not labelled", unknown=True),
}


def process(item: Item, params: RunParams, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC; `item.source`: folders of the `run`, `marks`, `views`, and `device`."""
    from stages.skeletons.projection import in_frame
    from stages.systems.interpreter.heatmaps import refined_peaks
    from stages.systems.interpreter.model import template_of

    source = item.source
    trained = network(source["run"], params.weights, source["device"])
    found = read_pictures(source, item.id, trained)
    said = say(trained, found["image"], source["device"])
    truth = found["keypoints"].numpy()
    labelled = found["known"].numpy() & in_frame(truth)
    import torch

    rough = refined_peaks(torch.from_numpy(said["rough"])).numpy()
    nothing = np.full_like(truth, np.nan)
    fine = said["keypoints"] if trained.params.fine else nothing
    told = np.stack([said["coarse"], rough, said.get("projected", nothing), fine], 1)
    return {
        "told": told.astype(np.float32),
        "truth": truth,
        "labelled": labelled,
        "visible": found["visible"] & labelled,
        "confidence": said["confidence"].astype(np.float32),
        "sigma": np.asarray(found.get("sigma", np.full(labelled.shape, np.nan)), np.float32),
        "length": box_length(truth, labelled).astype(np.float32),
        "torso": torso_length(truth, labelled, template_of(trained.params).keypoints),
    }


def box_length(points: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """(V,) the longer side of the box around labelled keypoints (V, N, 2); 1 where there are none.

    What PCK is relative to.
    """
    there = labelled[..., None]
    extent = np.where(there, points, -np.inf).max(1) - np.where(there, points, np.inf).min(1)
    longest = extent.max(-1)
    return np.where(np.isfinite(longest) & (longest > 1), longest, 1.0)


def torso_length(points: np.ndarray, labelled: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """(V,) float32 from one shoulder to the other hip; NaN where there are no such keypoints."""
    if not set(TORSO) <= set(names):
        return np.full(len(points), np.nan, np.float32)
    first, second = (names.index(name) for name in TORSO)
    length = np.linalg.norm(points[:, first] - points[:, second], axis=-1)
    there = labelled[:, first] & labelled[:, second] & (length > 1)
    return np.where(there, length, np.nan).astype(np.float32)


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    RunParams,
    SPEC,
    process,
    inputs=("landmarks",),
    command=f"crossdim eval {NAME}",
)
