"""Where the stages are, by the folder of the workspace that they fill.

Modules are named here, not imported: who reads an artefact needs the SPEC of one stage, and is
below all of them.
"""

from __future__ import annotations

import importlib
from functools import lru_cache

from stages.stage import Stage

MODULES = {
    "shapes": "stages.shapes.importing",  # generated ones have the same SPEC
    "annotations": "stages.viewpoints.importing",
    "backgrounds": "stages.photos.backgrounds",
    "keypoints": "stages.photos.keypoints",
    "skeletons": "stages.skeletons",
    "voxels": "stages.voxelize",
    "views": "stages.render",
    "depths": "stages.depths",
    "spheres": "stages.raycast",
    "landmarks": "stages.landmarks",
    "results/reconstruction": "stages.evaluate.reconstruction",
    "results/relpose": "stages.evaluate.relpose",
    "results/align": "stages.evaluate.align",
    "results/views": "stages.evaluate.views",
    "results/classification": "stages.evaluate.classification",
    "results/retrieval": "stages.evaluate.retrieval",
    "results/pointcloud": "stages.evaluate.pointcloud",
    "results/keypoints": "stages.evaluate.keypoints",
    "results/skeleton": "stages.evaluate.skeleton",
    "results/skeleton-noise": "stages.evaluate.skeleton_noise",
    "results/skeleton-detections": "stages.evaluate.detections",
    "results/compare": "stages.evaluate.compared",
}


@lru_cache
def find_stage(name: str) -> Stage | None:
    """The stage that fills the folder `name`; None for one that is none of the project's."""
    module = MODULES.get(name)
    return importlib.import_module(module).STAGE if module else None
