"""Runs the protocol of retrieval on one set of views of the test shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stages.engine.status import require_fresh
from stages.errors import InputError
from stages.evaluate.measure import Measurement, Report, Show, about, evaluate, run_params, usable
from stages.evaluate.retrieval import METHODS, STAGE
from stages.evaluate.search import Chance, squared_distances
from stages.evaluate.tables import Row, Table, to_json
from stages.stage import Arrays
from stages.store.workspace import Artefact, Workspace, category_of
from stages.train.inputs import choose_variant
from stages.train.run import Run

ALL = "all"  # the column over the queries of all categories
CUTS = (1, 5, 10)
TITLES = {
    "image_to_shape": "image to shape: the voxels of what a picture shows",
    "shape_to_image": "shape to image: a picture of the voxels",
    "image_to_image": "image to image: another picture of the same shape",
}


class Gallery(NamedTuple):
    """What is searched: pictures and voxels."""

    views: Artefact
    voxels: Artefact

    @property
    def variant(self) -> str:
        """The name of the pictures."""
        return self.views.variant


def choose_galleries(workspace: Workspace, names: Sequence[str], run: Run) -> list[Gallery]:
    """The sets of views of these names, without any the run's own, with the run's voxels.

    Raises InputError when a named one is not there, or not of the size that the run looks at.
    """
    record = run.record()
    variants, size = record["data"]["variants"], record["params"]["image_size"]
    voxels = workspace.artefact("voxels", variants["voxels"])
    if not names:
        return [Gallery(workspace.artefact("views", variants["views"]), voxels)]
    chosen = [choose_variant(workspace, "views", {"size": size}, name) for name in names]
    return [Gallery(views, voxels) for views in chosen]


def evaluate_retrieval(
    workspace: Workspace, run: Run, gallery: Gallery, device: str, dry_run: bool, show: Show
) -> Report:
    """Recall, ranks and precision of a run of deep-encoding, and the gap between its modalities.

    Raises InputError when the run has no best checkpoint, or fewer than two of its test shapes are
    there.
    """
    record = run.record()
    data = record["data"]
    there = [set(usable(record, artefact)) for artefact in gallery]
    ids = sorted(set.intersection(*there))
    if len(ids) < 2:
        raise InputError(
            f"{len(ids)} of the {len(data['ids']['test'])} test shapes of {run.name} have "
            f"{gallery.views.name} and {gallery.voxels.name}: nothing to search",
            "run: crossdim render, crossdim voxelize; or train on more shapes",
        )
    own = workspace.artefact("views", data["variants"]["views"])
    train = sorted(data["ids"]["train"])
    for artefact, items in ((gallery.views, ids), (gallery.voxels, [*ids, *train]), (own, train)):
        require_fresh(workspace, artefact, items)
    params = run_params(run, list(gallery))
    source = {
        "run": str(run.folder),
        "views": str(gallery.views.folder),
        "voxels": str(gallery.voxels.folder),
        "device": device,
        "test": ids,
        "train": train,
        "training_views": str(own.folder),
    }

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        found = {item: results.read(item) for item in ids}
        tables = retrieval_tables(found)
        summary = about(run, params, ids)
        left_out = len(data["ids"]["test"]) - len(ids)
        pictures = sum(len(one["image_code"]) for one in found.values())
        more = {"left_out": left_out, "pictures": pictures, "tables": to_json(tables)}
        return tables, {**summary, **more}

    what = Measurement(STAGE, params, dict.fromkeys(ids, source), gallery.variant)
    return evaluate(workspace, what, dry_run, show, tell)


def retrieval_tables(found: Mapping[str, Arrays]) -> tuple[Table, ...]:
    """The tables of all test shapes, columns by the category of the query; then the gap.

    The gallery is always that of all categories. Without a second view of each shape there is no
    table of image to image.
    """
    groups = _groups(found)
    shapes = len(found)
    views = len(next(iter(found.values()))["image_code"])
    chances = {
        "image_to_shape": Chance(shapes, 1),
        "shape_to_image": Chance(shapes * views, views),
        "image_to_image": Chance(shapes * views - 1, views - 1),
    }
    if views == 1:
        del chances["image_to_image"]
    tables = [_table(task, chance, found, groups) for task, chance in chances.items()]
    return (*tables, gap_table(found, groups))


def _groups(found: Mapping[str, Arrays]) -> dict[str, list[str]]:
    """The ids of each category, then of all, if there are several categories."""
    groups: dict[str, list[str]] = {}
    for item in sorted(found):
        groups.setdefault(category_of(item), []).append(item)
    return groups if len(groups) == 1 else {**groups, ALL: sorted(found)}


def _table(
    task: str, chance: Chance, found: Mapping[str, Arrays], groups: Mapping[str, Sequence[str]]
) -> Table:
    """Recall at CUTS, median rank and mean average precision of one task, by method and chance."""
    rows: list[Row] = []
    for number, method in enumerate(METHODS):
        ranks = {
            group: np.concatenate([found[i][f"{task}_rank"][..., number].ravel() for i in ids])
            for group, ids in groups.items()
        }
        for cut in CUTS:
            shares = {group: float((rank <= cut).mean()) for group, rank in ranks.items()}
            rows.append((f"{method}: recall@{cut}", shares))
        medians = {group: float(np.median(rank)) for group, rank in ranks.items()}
        rows.append((f"{method}: median rank", medians))
        rows.append((f"{method}: mAP", _mean_precision(task, number, ranks, found, groups)))
        if task == "image_to_shape":
            rows.append((f"{method}: category@1", _right_category(number, found, groups)))
    by_chance = {
        **{f"recall@{cut}": chance.recall(cut) for cut in CUTS},
        "median rank": float(chance.median_rank),
        "mAP": chance.average_precision,
    }
    rows += [(f"chance: {what}", dict.fromkeys(groups, v)) for what, v in by_chance.items()]
    if task == "image_to_shape":
        shares = {g: _share_of_own(ids, list(found)) for g, ids in groups.items()}
        rows.append(("chance: category@1", shares))
    return Table(task, TITLES[task], tuple(rows))


def _mean_precision(
    task: str,
    number: int,
    ranks: Mapping[str, np.ndarray],
    found: Mapping[str, Arrays],
    groups: Mapping[str, Sequence[str]],
) -> dict[str, float]:
    if task == "image_to_shape":  # one right answer: the precision at its rank
        return {group: float((1 / rank).mean()) for group, rank in ranks.items()}
    return {
        group: float(np.mean([found[i][f"{task}_ap"][..., number].mean() for i in ids]))
        for group, ids in groups.items()
    }


def _right_category(
    number: int, found: Mapping[str, Arrays], groups: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Shares of pictures whose first shape is of their category."""

    def share(item: str) -> float:
        told = found[item]["image_to_shape_told"][:, number]
        return float(np.mean([category_of(t.decode()) == category_of(item) for t in told]))

    return {group: float(np.mean([share(i) for i in ids])) for group, ids in groups.items()}


def _share_of_own(ids: Sequence[str], everyone: Sequence[str]) -> float:
    """The mean share that the categories of these ids have in all."""
    there = [category_of(item) for item in everyone]
    return float(np.mean([there.count(category_of(i)) for i in ids]) / len(there))


def gap_table(found: Mapping[str, Arrays], groups: Mapping[str, Sequence[str]]) -> Table:
    """How far voxels lie from pictures, against how far codes of one kind lie from each other.

    gap: the distance between the mean codes of both kinds over the mean distance within a kind,
    which is over all pairs of a kind, then over both kinds. Of a category with one test shape there
    is none.
    """
    rows: dict[str, dict[str, float]] = {}
    for group, ids in groups.items():
        if len(ids) > 1:
            for what, value in modality_gap(
                np.stack([found[i]["voxel_code"] for i in ids]),
                np.concatenate([found[i]["image_code"] for i in ids]),
            ).items():
                rows.setdefault(what, {})[group] = value
    return Table("gap", "voxels and pictures in one space", tuple(rows.items()))


def modality_gap(voxels: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """The rows of `gap_table` for codes (S, C) and (N, C)."""
    between = float(np.linalg.norm(voxels.mean(0) - images.mean(0)))
    within = [_mean_distance(codes.astype(np.float64)) for codes in (voxels, images)]
    mean = sum(within) / 2
    gap = {"modality gap": between / mean} if mean else {}  # of codes that are all equal: none
    return {
        **gap,
        "distance of the means": between,
        "mean distance of voxels": within[0],
        "mean distance of pictures": within[1],
    }


def _mean_distance(codes: np.ndarray) -> float:
    """Over all pairs of different ones of (N, C), in blocks."""
    count, total = len(codes), 0.0
    for start in range(0, count, 1024):
        total += np.sqrt(squared_distances(codes[start : start + 1024], codes)).sum()
    return float(total) / (count * (count - 1))
