"""The runs that a run goes on from, and all shapes that took part in making its weights."""

from __future__ import annotations

from collections.abc import Iterator

from stages.train.run import Run

# Parameters that name other runs, and of which system: "" for its own.
BEGINS_WITH = {
    "target": "spherical-cnn",
    "start": "",
    "embedding": "equivariant",
    "keypoints_run": "",
    "interpret_run": "",
}


def ancestry(run: Run) -> Iterator[Run]:
    """The runs that a run goes on from, theirs before them, then the run; some may be gone."""
    if run.exists():
        params = run.record()["params"]
        for name, system in BEGINS_WITH.items():
            if params.get(name):
                folder = run.folder.parents[1] / (system or run.system) / params[name]
                yield from ancestry(Run(folder))
    yield run


def learned_from(run: Run) -> set[str]:
    """Ids of the shapes that a run, and those that it goes on from, were trained or chosen on."""
    seen: set[str] = set()
    for one in ancestry(run):
        if one.exists():
            ids = one.record()["data"]["ids"]
            seen |= {*ids["train"], *ids["val"]}
    return seen
