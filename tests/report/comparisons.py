"""Workspaces with results of comparisons, as `crossdim compare` leaves them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages import voxelize
from stages.evaluate import compared
from stages.evaluate.angles import arrays_of
from stages.evaluate.compared_field import Field, KnownField
from stages.evaluate.measure import input_print
from stages.shapes.spec import labels
from stages.store.commit import commit_bytes
from stages.store.index import save_index
from stages.store.workspace import Artefact, Workspace
from tests.attacks.names import HTML, TERMINAL
from tests.evaluate.made import SPECS, World, put
from tests.report.made import cube

SPLIT = {"train": ("chair/a", "chair/b"), "val": ("chair/c",), "test": ("chair/d", "chair/e")}
VIEWS = 2
WEIGHTS = "1" * 64  # of the runs of a World


@contextmanager
def specs() -> Iterator[None]:
    """Lets `put` know voxels and comparisons."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPECS, "voxels", {"voxels": voxelize.SPEC["voxels"]})
        patch.setitem(SPECS, "results/compare", compared.SPEC)
        yield


@dataclass
class Compared:
    """Chairs, seen and as voxels, and who was compared on them."""

    root: Path
    split: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(SPLIT))
    excluded: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ids = [item for ids in self.split.values() for item in ids]
        self.world = World(self.root, self.ids, VIEWS)
        self.shapes()
        self.world.see("views/compare")
        self.solid = np.zeros((32, 32, 32), bool)
        self.solid[8:24, 8:24, 8:24] = True
        self.voxelize(self.ids)

    def voxelize(self, ids: Sequence[str]) -> None:
        """Voxels of these shapes alone, all the same."""
        put(self.root, "voxels/res32", {i: {"voxels": self.solid} for i in ids}, res=32)

    def shapes(self, more: Sequence[str] = ()) -> None:
        """The shapes, and others that come to them."""
        arrays = cube().to_arrays()
        items = {
            i: {**arrays, **labels(s, "", "", "")} for s, ids in self.split.items() for i in ids
        }
        items |= {item: {**arrays, **labels("test", "", "", "")} for item in more}
        put(self.root, "shapes/made", items)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)

    def known(self) -> KnownField:
        """What is compared on, as it is now."""
        views = self.workspace.artefact("views", "compare")
        voxels = self.workspace.artefact("voxels", "res32")
        return KnownField.of(Field(views, voxels, (), "chair", self.split, self.excluded))

    def add(
        self, label: str, values: Mapping[str, Any], run: str = "", system: str = "", **more: Any
    ) -> Artefact:
        """Results of one contender: of a run of that system, else trivial; it tells cubes.

        `more`: other values of its summary; `views` are what its results have, too.
        """
        known = self.known()
        inputs = [
            input_print(self.world.run(system).record(), self.workspace.artefact(stage, variant))
            for stage, variant in (("views", "compare"), ("voxels", "res32"))
            if system and not run
        ]
        name = run or (f"{system}-made" if system else f"baselines-{label.replace(' ', '-')}")
        weights = WEIGHTS if system else ""
        params = {"run": name, "weights": weights, "data": "f" if system else "", "inputs": inputs}
        params |= {"threshold": 0.5, "training": known.print}
        items = dict.fromkeys(self.split["test"], self._told(more.get("views", VIEWS)))
        folder = "".join(c if c.isalnum() and c.isascii() else "-" for c in name)[:60]
        artefact = put(self.root, f"results/compare/{folder}-compare-chair", items, **params)
        save_index(artefact.folder)
        summary = {
            "run": name,
            "weights": weights,
            "threshold": 0.5,
            "label": label,
            "system": system,
            "reasons": {},
            "views": VIEWS * len(items),
            "field": known.to_json(),
            "tables": {"compare": {label: dict(values)}},
            "titles": {"compare": label},
            **more,
        }
        commit_bytes(artefact.folder / "summary.json", json.dumps(summary).encode())
        return artefact

    def add_hostile(self) -> list[str]:
        """Contenders called like attacks in every text that they say of themselves; the names."""
        names = [*HTML, *TERMINAL[::4], "\ud800", "a" * 300]
        self.split = {**self.split, "test": self.split["test"][:1]}
        self.excluded = {f"chair/{name}": name for name in names}
        for number, name in enumerate(names):
            more = {"system": name, "reasons": {name: name}}
            self.add(name, {"Chamfer": 2.0, "same shape: median": 3.0}, f"weights-{number}", **more)
        return names

    def _told(self, count: int) -> dict[str, np.ndarray]:
        views = np.zeros(count, np.float32)
        told: dict[str, Any] = {
            "rotation": np.repeat(np.eye(3, dtype=np.float32)[None], count, 0),
            "voxels": np.repeat(self.solid[None], count, 0).astype(np.uint8),
            "told_rotation": np.zeros((0, 3, 3), np.float32),
            "error_deg": np.zeros(0, np.float32),
            "retrieved": np.zeros(0, "S200"),
            **dict.fromkeys(("voxel_iou", "chamfer", "f_score"), views),
        }
        for base in ("instance", "category"):
            told |= arrays_of(base, [], np.zeros((0, 3, 3)), np.zeros((0, 1, 3, 3)))
        return told
