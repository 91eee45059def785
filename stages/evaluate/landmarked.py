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
from stages.errors import CrossdimError, InputError, UsageError
from stages.evaluate.answers import network
from stages.evaluate.measure import usable
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, artefact_at, category_of
from stages.train.run import Run, Trained, find_run, load_model
from stages.viewpoints.categories import canonical

SYSTEM = "interpreter"
_BATCH = 64
_MAKE = "run: crossdim landmarks"


class Pictures(NamedTuple):
    """What is measured on: landmarks with their views, or photos."""

    marks: Artefact  # of the stage landmarks, or keypoints
    views: Artefact | None
    others: bool = False  # those of categories that the run does not know (figure 9)

    @property
    def variant(self) -> str:
        """The name of the landmarks, or `photos-NAME`; `others-` before it where it is so."""
        name = self.marks.variant if self.views else f"photos-{self.marks.variant}"
        return f"others-{name}" if self.others else name

    def source(self, run: Run, device: str) -> dict[str, Any]:
        """The source of every item, as `read_pictures` and `network` have it."""
        return {
            "run": str(run.folder),
            "device": device,
            "marks": str(self.marks.folder),
            "views": str(self.views.folder if self.views else ""),
            "others": self.others,
        }


def choose_pictures(
    workspace: Workspace,
    landmarks: Sequence[str],
    photos: Sequence[str],
    run: Run,
    others: bool = False,
) -> list[Pictures]:
    """The named landmarks and photos; without any those that the run was trained on.

    `others`: of them what is of categories that the run does not know.
    Raises InputError for those that are not there, UsageError for a run that looks at no pictures.
    """
    require_pictures(run)
    own = run.record()["data"]["variants"]
    names, photos = list(landmarks), list(photos)
    if not names and not photos:
        names = [own["landmarks"]] if "landmarks" in own else []
        photos = [own["keypoints"]] if "keypoints" in own else []
    chosen = []
    for name in names:
        marks = _named(workspace, "landmarks", name, _MAKE)
        chosen.append(Pictures(marks, _views_of(workspace, marks), others))
    hint = "run: crossdim keypoints import"
    found = (_named(workspace, "keypoints", name, hint) for name in photos)
    return [*chosen, *(Pictures(marks, None, others) for marks in found)]


def require_pictures(run: Run) -> None:
    """UsageError for a run that looks at no pictures."""
    if run.record()["params"]["step"] == "interpret":
        raise UsageError(
            f"run {run.name} is of step interpret: it looks at no pictures",
            "name a run of step keypoints or joint with --run",
        )


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
    if len(there) > 1:  # made when there were no others
        there = [a for a in there if _same_cameras(a, marks)]
    if len(there) != 1:
        raise InputError(f"the views of {marks.name} are not there, or not alone", _MAKE)
    return there[0]


def _same_cameras(views: Artefact, marks: Artefact) -> bool:
    """Whether the first item of the landmarks has these views."""
    item = next(iter(sorted(marks.index.items())), "")
    if item not in views.index.items():
        return False
    first, second = (a.read(item, ("extrinsics",))["extrinsics"] for a in (views, marks))
    return np.array_equal(first, second)


def choose_items(workspace: Workspace, run: Run, pictures: Pictures) -> list[str]:
    """The items that the run is measured on; InputError when there are none, or they are stale.

    UsageError when all are of categories that the run does not know, unless it is to be so.
    """
    ids = usable(run.record(), pictures.marks, pictures.others)
    if not ids:
        raise _nothing(run, pictures)
    require_fresh(workspace, pictures.marks, ids)
    return ids


def _nothing(run: Run, pictures: Pictures) -> CrossdimError:
    """Why there is nothing to measure on."""
    known = run.record()["data"]["categories"]
    there = sorted({category_of(item) for item in pictures.marks.index.items()})
    name = pictures.marks.name
    if pictures.others:
        return InputError(
            f"{name} has no other categories than {run.name}", "leave out --cross-category"
        )
    if there and not {canonical(c) for c in there} & {canonical(c) for c in known}:
        return UsageError(
            f"{name} shows {', '.join(there)}, run {run.name} knows {', '.join(known)}",
            "add --cross-category to see what it makes of them",
        )
    return InputError(
        f"{name} has no {', '.join(known)} that {run.name} has not learnt from",
        "measure on the category that the run was trained on",
    )


def by_category(
    results: Artefact, ids: Sequence[str], names: Sequence[str]
) -> dict[str, dict[str, np.ndarray]]:
    """These arrays of each category's items, one after the other: (S, ...), S pictures."""
    found = {}
    for category in sorted({category_of(item) for item in ids}):
        parts = [results.read(i, tuple(names)) for i in ids if category_of(i) == category]
        found[category] = {name: np.concatenate([p[name] for p in parts]) for name in names}
    return found


@lru_cache(maxsize=8)
def opened(folder: str) -> Artefact:
    """The artefact in a folder, opened once a process."""
    return artefact_at(folder)


def read_pictures(source: Any, item: str, trained: Trained) -> dict[str, Any]:
    """What `stages.systems.interpreter.data.prepared` makes of an item, visible (V, N) bool, and of
    photos sigma (V, N) pixels of 240 x 320, of rendered views truth (N, 3), skeleton frame.
    """
    from stages.skeletons.naming import columns
    from stages.skeletons.template import TO_CANONICAL
    from stages.systems.interpreter.data import convention_told, framed, prepared
    from stages.systems.interpreter.model import template_of

    arrays = dict(opened(source["marks"]).read(item))
    if source["views"]:
        arrays["rgb"] = opened(source["views"]).read(item, ("rgb",))["rgb"]
    else:
        arrays.update({n: arrays[n][None] for n in ("rgb", "keypoints", "visible", "sigma")})
    template, params = template_of(trained.params), trained.params
    # What shares no keypoint with the template has nothing that is labelled; others count.
    found: dict[str, Any] = dict(prepared(item, arrays, template, params, True))
    names = [bytes(name).decode() for name in arrays["keypoint_names"]]
    convention = convention_told(arrays, template)
    column = columns(item, template, convention, names, True)
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
