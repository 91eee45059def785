"""Pictures with keypoints that a run of the 3D interpreter network is measured on.

They are rendered views with their landmarks, of the run's test shapes or of shapes that it has
never seen (such as annotated CAD models beside generated shapes), or annotated photos of its
category.
Letters: V pictures of an item, N keypoints of the template.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stages.engine.status import require_fresh
from stages.errors import InputError, UsageError
from stages.evaluate.answers import network
from stages.evaluate.measure import usable
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run, Trained, find_run, load_model

SYSTEM = "interpreter"
_BATCH = 64
_MAKE = "run: crossdim landmarks"


class Pictures(NamedTuple):
    """What is measured on: landmarks with their views, or photos."""

    marks: Artefact  # of the stage landmarks, or keypoints
    views: Artefact | None

    @property
    def variant(self) -> str:
        """The name of the landmarks, or `photos-NAME`."""
        return self.marks.variant if self.views else f"photos-{self.marks.variant}"

    def folders(self) -> dict[str, str]:
        """Where both are, as the source of an item has it."""
        return {
            "marks": str(self.marks.folder),
            "views": str(self.views.folder if self.views else ""),
        }


def choose_pictures(
    workspace: Workspace, landmarks: Sequence[str], photos: Sequence[str], run: Run
) -> list[Pictures]:
    """The named landmarks and photos; without any the landmarks that the run was trained on.

    Raises InputError for those that are not there, UsageError for a run that looks at no pictures.
    """
    record = run.record()
    if record["params"]["step"] == "interpret":
        raise UsageError(
            f"run {run.name} is of step interpret: it looks at no pictures",
            "name a run of step keypoints or joint with --run",
        )
    own = record["data"]["variants"].get("landmarks")
    names = list(landmarks) or ([own] if own and not photos else [])
    if not names and not photos:
        raise InputError("the run was trained on photos", "name some with --photos")
    chosen = []
    for name in names:
        marks = _named(workspace, "landmarks", name, _MAKE)
        chosen.append(Pictures(marks, _views_of(workspace, marks)))
    hint = "run: crossdim keypoints import"
    return [*chosen, *(Pictures(_named(workspace, "keypoints", n, hint), None) for n in photos)]


def _named(workspace: Workspace, stage: str, name: str, hint: str) -> Artefact:
    found = next((a for a in workspace.artefacts(stage) if a.variant == name), None)
    if found is None:
        raise InputError(f"no {stage}/{name} in {workspace.root}", hint)
    return found


def _views_of(workspace: Workspace, marks: Artefact) -> Artefact:
    """The views that landmarks are of."""
    key = marks.index.key
    name = params_of(key)["views"] if key else ""
    there = [a for a in workspace.artefacts("views") if not name or a.variant == name]
    if len(there) != 1:
        raise InputError(f"the views of {marks.name} are not there, or not alone", _MAKE)
    return there[0]


def choose_items(workspace: Workspace, run: Run, pictures: Pictures) -> list[str]:
    """The items that the run is measured on; InputError when there are none, or they are stale."""
    record = run.record()
    ids = usable(record, pictures.marks)
    if not ids:
        raise InputError(
            f"{pictures.marks.name} has no {', '.join(record['data']['categories'])} that "
            f"{run.name} has not learnt from",
            "measure on the category that the run was trained on",
        )
    require_fresh(workspace, pictures.marks, ids)
    return ids


@lru_cache(maxsize=8)
def _open(folder: str) -> Artefact:
    path = Path(folder)
    return Artefact(path, path.parent.name, path.name)


def read_pictures(source: Any, item: str, trained: Trained) -> dict[str, Any]:
    """What `stages.systems.interpreter.data.prepared` makes of an item, visible (V, N) bool, and of
    photos sigma (V, N) pixels of 240 x 320, of rendered views truth (N, 3), skeleton frame.
    """
    from stages.skeletons.naming import columns
    from stages.skeletons.template import TO_CANONICAL
    from stages.systems.interpreter.data import framed, prepared
    from stages.systems.interpreter.model import template_of

    arrays = dict(_open(source["marks"]).read(item))
    if source["views"]:
        arrays["rgb"] = _open(source["views"]).read(item, ("rgb",))["rgb"]
    else:
        arrays.update({n: arrays[n][None] for n in ("rgb", "keypoints", "visible", "sigma")})
    template, params = template_of(trained.params), trained.params
    found: dict[str, Any] = dict(prepared(item, arrays, template, params))
    names = [bytes(name).decode() for name in arrays["keypoint_names"]]
    convention = np.bytes_(arrays.get("convention", b"keypoint5")).rstrip(b"\0").decode()
    column = columns(item, template, convention, names)
    found["visible"] = (arrays["visible"][:, column] > 0) & (column >= 0)
    if "sigma" in arrays:
        factor = float(framed(arrays["rgb"], params.height)[1][0].mean())
        found["sigma"] = np.where(column >= 0, arrays["sigma"][:, column] * factor, np.nan)
    if "shape_points" in arrays:
        found["truth"] = arrays["shape_points"][column].astype(np.float64) @ TO_CANONICAL
        found["extrinsics"] = arrays["extrinsics"].astype(np.float64)
    return found


def say(trained: Trained, image: Any, device: str) -> dict[str, np.ndarray]:
    """What `predict` says of pictures (V, 3, h, w) uint8."""
    parts = [
        trained.system.predict(trained.model, part.to(device).float() / 255, trained.params)
        for part in image.split(_BATCH)
    ]
    return {name: np.concatenate([p[name].cpu().numpy() for p in parts]) for name in parts[0]}


@lru_cache(maxsize=1)
def network_before(folder: str, weights: str, device: str) -> Trained:
    """The networks that step joint began with: one run's estimator, another's interpreter.

    Raises InputError when these runs are gone, or were trained on since.
    """
    import torch

    joint = network(folder, weights, device)
    params, root = joint.params, Path(folder).parents[2]
    state: dict[str, Any] = {}
    for name, digest in (
        (params.keypoints_run, params.keypoints_weights),
        (params.interpret_run, params.interpret_weights),
    ):
        part = load_model(find_run(root, SYSTEM, name))
        if part.sha256 != digest:
            raise InputError(
                f"run {name}, which {joint.run} began with, was trained on since",
                "train step joint again with --fresh",
            )
        state.update(part.model.state_dict())
    model = joint.system.build(params)
    model.load_state_dict(state)
    return dataclasses.replace(joint, model=model.to(torch.device(device)).eval())
