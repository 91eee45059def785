"""The data stages of the project: one line a stage. Imports neither torch nor trimesh."""

from __future__ import annotations

from stages.depths import STAGE as DEPTHS
from stages.landmarks import STAGE as LANDMARKS
from stages.photos.backgrounds import STAGE as BACKGROUNDS
from stages.photos.keypoints import STAGE as KEYPOINTS
from stages.raycast import STAGE as RAYCAST
from stages.render import STAGE as RENDER
from stages.shapes.generate import STAGE as GENERATE
from stages.shapes.importing import STAGE as IMPORT
from stages.skeletons import STAGE as SKELETONS
from stages.stage import Stage
from stages.viewpoints.importing import STAGE as VIEWPOINTS
from stages.voxelize import STAGE as VOXELIZE

# Stages whose items are those of their inputs, by the folder that they fill.
DERIVED: dict[str, Stage] = {
    stage.name: stage for stage in (VOXELIZE, RENDER, DEPTHS, RAYCAST, LANDMARKS)
}

# Stages that bring items into the workspace, by the kind that the manifest keeps of their origin.
SOURCES: dict[str, Stage] = {
    "generate": GENERATE,
    "import": IMPORT,
    "backgrounds": BACKGROUNDS,
    "keypoints": KEYPOINTS,
    "viewpoints": VIEWPOINTS,
    "skeletons": SKELETONS,
}
