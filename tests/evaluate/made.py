"""A workspace as a training leaves it, and systems whose answers are known.

Pictures say which shape and view they show, in two of their pixels; maps which shape. The systems
look it up: an equivariant one turns one random band-limited field by the true rotation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from stages import raycast, render
from stages.evaluate import align, relpose
from stages.geometry import cameras
from stages.photos import keypoints
from stages.shapes import spec as shapes_spec
from stages.sphere.rotation import rotate_coefficients
from stages.sphere.transform import inverse_sht
from stages.stage import Arrays, ArraySpec
from stages.store.commit import commit_bytes, make_folder
from stages.store.fingerprint import digest
from stages.store.shard import Encoded, build_shard, encode_item, make_key, shard_name
from stages.store.workspace import Artefact, Workspace
from stages.systems.spherical_cnn.params import MAPS
from stages.train.run import Run
from tests.sphere.fields import coefficients

SIZE, ROWS = 128, 16
SPECS: dict[str, Mapping[str, ArraySpec]] = {
    "shapes": shapes_spec.SPEC,
    "views": {name: render.SPEC[name] for name in ("rgb", "viewpoint", "extrinsics")},
    "spheres": {"map": raycast.SPEC["map"]},
    "keypoints": {name: keypoints.SPEC[name] for name in ("rgb", "viewpoint")},
    "results/relpose": relpose.SPEC,
    "results/align": align.SPEC,
}
PARAMS: dict[str, dict[str, Any]] = {
    "views": {"size": SIZE},
    "spheres": {**MAPS, "poses": "canonical"},
    "keypoints": {"width": SIZE, "height": SIZE, "region": "object", "fit": "letterbox"},
}


def put(
    root: Path, name: str, items: Mapping[str, Arrays], tag: str = "", **params: Any
) -> Artefact:
    """The artefact `stage/variant` of these items, in one shard; `tag` tells inputs apart."""
    stage, _, variant = name.rpartition("/")
    artefact = Workspace(root).artefact(stage, variant)
    make_folder(artefact.folder)
    for path in artefact.folder.iterdir():
        path.unlink()
    encoded = [
        Encoded(item, digest(f"{item} {tag}".encode()), encode_item(SPECS[stage], arrays))
        for item, arrays in items.items()
    ]
    data = build_shard(make_key(stage, 1, {**PARAMS.get(stage, {}), **params}, 0, 1), encoded)
    commit_bytes(artefact.folder / shard_name(0, data), data)
    return artefact


@dataclass
class World:
    """Shapes of some categories, seen from random sides; `rotations` by shape and view."""

    root: Path
    ids: Sequence[str]
    views: int = 4
    rotations: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)  # numbers of pictures or maps, call by call

    def see(self, name: str = "views/test", seed: int = 0, tag: str = "", **params: Any) -> None:
        """Views of all shapes from random cameras."""
        rng = np.random.default_rng(seed)
        items = {}
        free = cameras.Ranges(inplane_deg=(-180.0, 180.0))
        for number, item in enumerate(self.ids):
            viewpoint = cameras.on_sphere(self.views, rng, free)
            extrinsics = cameras.extrinsics(viewpoint)
            rgb = np.zeros((self.views, SIZE, SIZE, 3), np.uint8)
            for view in range(self.views):
                rgb[view, 0, 0, 0], rgb[view, 0, 1, 0] = number, view
                self.rotations[number, view] = extrinsics[view, :, :3]
            items[item] = {
                "rgb": rgb,
                "viewpoint": viewpoint.astype(np.float32),
                "extrinsics": extrinsics.astype(np.float32),
            }
        put(self.root, name, items, tag, **params)

    def cast(
        self, name: str = "spheres/res64", count: int = 1, tag: str = "", **params: Any
    ) -> None:
        """Maps that say which shape they are of."""
        items = {}
        for number, item in enumerate(self.ids):
            maps = np.zeros((count, 1, 64, 64), np.float32)
            maps[:, 0, 0, 0] = number / 512  # after SCALE: a 256th
            items[item] = {"map": maps}
        put(self.root, name, items, tag, **params)

    def run(
        self, system: str, test: Sequence[str] | None = None, sha256: str = "1" * 64, **params: Any
    ) -> Run:
        """The record of a finished run whose test shapes are `test`, or all."""
        run = Run(self.root / "runs" / system / "made")
        test = self.ids if test is None else test
        categories = sorted({item.split("/")[0] for item in self.ids})
        record = {
            "format": "crossdim-run",
            "format_version": 1,
            "system": system,
            "name": "made",
            "preset": "",
            "argv": [],
            "status": "finished",
            "created": "2026-01-01T00:00:00",
            "updated": "2026-01-01T00:00:00",
            "seed": 3,
            "params": params,
            "data": {
                "categories": categories,
                "variants": {"views": "own"},
                "ids": {"train": list(self.ids), "val": [], "test": list(test)},
                "fingerprint": "f",
            },
        }
        make_folder(run.checkpoints)
        commit_bytes(run.folder / "run.json", json.dumps(record).encode())
        best = {"files": {"weights": {"sha256": sha256}}, "step": 7}
        commit_bytes(run.checkpoints / "best.json", json.dumps(best).encode())
        return run

    def shown(self, images: torch.Tensor) -> list[tuple[int, int]]:
        """Shape and view in each picture."""
        self.asked.append(len(images))
        pixels = (images[:, 0, 0, :2] * 255).round().int().tolist()
        return [(shape, view) for shape, view in pixels]

    def rotation_of(self, images: torch.Tensor) -> torch.Tensor:
        """(V, 3, 3) true rotations of pictures."""
        found = np.stack([self.rotations[key] for key in self.shown(images)])
        return torch.from_numpy(found).float()


Answer = Callable[[torch.Tensor], torch.Tensor]  # of pictures


def trained(system: str, key: str, answer: Answer, sha256: str = "1" * 64, **more: Any) -> Any:
    """What `load_model` gives, of a system that says `answer` under the name `key`."""
    kind = SimpleNamespace(NAME=system, predict=lambda model, x, params: {key: answer(x)})
    model = SimpleNamespace(**more)
    return SimpleNamespace(model=model, system=kind, params=None, sha256=sha256, run="made")


def equivariant(world: World, channels: int = 8, seed: int = 0, **more: Any) -> Any:
    """A perfect one: the field of a shape, the same for all, as the camera sees it turned."""
    field_ = coefficients(seed, channels, degrees=ROWS // 2).to(torch.complex64)

    def turned(rotation: torch.Tensor) -> torch.Tensor:
        return inverse_sht(rotate_coefficients(field_, rotation[:, None]), ROWS)

    def embed(maps: torch.Tensor) -> torch.Tensor:
        world.asked.append(len(maps))
        return turned(torch.eye(3).expand(len(maps), 3, 3))

    def answer(images: torch.Tensor) -> torch.Tensor:
        return turned(world.rotation_of(images))

    return trained("equivariant", "embedding", answer, embed_maps=embed, **more)
