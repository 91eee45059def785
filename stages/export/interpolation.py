"""Clouds told of codes between those of two pictures, and of their sums and differences.

Letters: V pictures of a shape, D dimensions of a code, T clouds, N points.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.engine.status import require_fresh
from stages.errors import InputError, UsageError
from stages.evaluate.answers import network, pictures
from stages.evaluate.cloud_baselines import true_cloud
from stages.evaluate.clouds import chamfer
from stages.evaluate.pointcloud import split
from stages.evaluate.pointcloud_protocol import choose_pictures
from stages.export.choose import choose_item
from stages.export.clouds import TOLD, TRUE, cloud_picture
from stages.export.pictures import STANDARD, sheet_png
from stages.store.workspace import Artefact, Workspace, category_of
from stages.train.run import Run

if TYPE_CHECKING:
    import torch

    from stages.train.run import Trained

SUM = "ABC"  # whose codes A - B + C is made of
_WIDE = 22  # characters of a label


@dataclass(frozen=True)
class Codes:
    """A run, and the codes of one picture each of its test shapes, with their true clouds."""

    run: Run
    views: Artefact
    depths: Artefact
    view: int = 0  # which picture of each
    device: str = "cpu"
    trained: Trained = field(init=False)

    def __post_init__(self) -> None:
        trained = network(str(self.run.folder), self.run.best()["sha256"], self.device)
        object.__setattr__(self, "trained", trained)

    def picture(self, item: str) -> np.ndarray:
        """(64, 64, 3) uint8; UsageError where the shape has not so many pictures."""
        rgb = self.views.read(item, ("rgb",))["rgb"]
        if self.view >= len(rgb):
            raise UsageError(f"{item} has {len(rgb)} views", f"use --view 0 to {len(rgb) - 1}")
        return rgb[self.view]

    def of(self, items: Sequence[str]) -> torch.Tensor:
        """(T, D) codes of the pictures of these shapes."""
        seen = pictures(np.stack([self.picture(item) for item in items])).to(self.device)
        return self.trained.system.encode(self.trained.model, seen)

    def clouds(self, codes: torch.Tensor) -> list[np.ndarray]:
        """(N, 3) world points told of each of codes (T, D); N may be 0."""
        model, params = self.trained.model, self.trained.params
        return split(self.trained.system.predict_codes(model, codes, params))

    def truth(self, item: str) -> np.ndarray:
        """(N, 3) the cloud of the true depth maps of a shape."""
        return true_cloud(self.depths.read(item, ("depth", "extrinsics")))


def codes_of(workspace: Workspace, run: Run, views: str | None, view: int, device: str) -> Codes:
    """Of the named set of pictures, or of that which the run was trained on.

    Raises InputError for one that is not there or of another size, or a run without weights.
    """
    chosen = choose_pictures(workspace, [views] if views else [], run)[0]
    depths = workspace.artefact("depths", run.record()["data"]["variants"]["depths"])
    return Codes(run, chosen, depths, view, device)


def choose_shapes(
    workspace: Workspace, codes: Codes, named: Sequence[str], rows: int, size: int
) -> list[list[str]]:
    """`size` test shapes of one category for each row: the named ones, or some from afar.

    Raises UsageError for names that are none or do not fill rows, InputError where there are too
    few test shapes, or their pictures are stale.
    """
    items = codes.views.index.items()
    test = [i for i in codes.run.record()["data"]["ids"]["test"] if i in items]
    if named:
        if len(named) % size:
            raise UsageError(
                f"{len(named)} shapes do not fill rows of {size}", "name more with --shape"
            )
        what = f"the test shapes of run {codes.run.name}"
        chosen = [choose_item(test, name, what) for name in named]
        found = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    else:
        found = _from_afar(test, rows, size)
    if not found:
        raise InputError(
            f"run {codes.run.name} has fewer than {size} test shapes of a category",
            "add shapes, then train again",
        )
    used = sorted({item for row in found for item in row})
    for artefact in (codes.views, codes.depths):
        require_fresh(workspace, artefact, used)
    return found


def _from_afar(test: Sequence[str], rows: int, size: int) -> list[list[str]]:
    """Rows in turn of the categories; in each the shapes of a row lie far apart in the list."""
    per_category = []
    for category in sorted({category_of(item) for item in test}):
        ids = sorted(item for item in test if category_of(item) == category)
        step = len(ids) // size
        per_category.append([[ids[k * step + n] for k in range(size)] for n in range(step)])
    longest = max((len(found) for found in per_category), default=0)
    turns = [found[n] for n in range(longest) for found in per_category if n < len(found)]
    return turns[:rows]


def between(first: torch.Tensor, second: torch.Tensor, count: int) -> torch.Tensor:
    """(T, D) codes from one (D,) to another, the ends themselves included, in even steps."""
    import torch

    shares = torch.linspace(0, 1, count, device=first.device)[:, None]
    return torch.lerp(first[None], second[None], shares)


def interpolation_sheet(codes: Codes, pairs: Sequence[Sequence[str]], count: int) -> bytes:
    """PNG, a row a pair A, B: A's picture and true cloud, `count` told clouds, B's truth, picture.

    Under each told cloud stands its Chamfer distance, x 100, to both truths.
    """
    rows = []
    for a, b in pairs:
        first, second = codes.of([a, b])
        truth = codes.truth(a), codes.truth(b)
        told = codes.clouds(between(first, second, count))
        numbers = [" and ".join(_number(chamfer(cloud, one)) for one in truth) for cloud in told]
        tiles = [captioned(_drawn(cloud, TOLD), text) for cloud, text in zip(told, numbers)]
        ends = [_drawn(one, TRUE) for one in truth]
        shown = [codes.picture(a), ends[0], *tiles, ends[1], codes.picture(b)]
        rows.append((f"{_named('AB', (a, b))}\n\nbelow: Chamfer\nto A and to B", shown))
    heads = [f"told, t = {share:g}" for share in np.linspace(0, 1, count).round(3)]
    return sheet_png(["A", "truth of A", *heads, "truth of B", "B"], rows)


def arithmetic_sheet(codes: Codes, triples: Sequence[Sequence[str]]) -> bytes:
    """PNG, a row of three shapes: each one's picture and told cloud, and what A - B + C tells."""
    rows = []
    for items in triples:
        each = codes.of(items)  # (3, D)
        told = codes.clouds(each) + codes.clouds((each[0] - each[1] + each[2])[None])
        tiles = [_drawn(cloud, TOLD) for cloud in told]
        seen = [codes.picture(item) for item in items]
        rows.append(
            (_named(SUM, items), [t for pair in zip(seen, tiles) for t in pair] + tiles[3:])
        )
    heads = [head for letter in SUM for head in (letter, f"told of {letter}")]
    return sheet_png([*heads, "told, A - B + C"], rows)


def _named(letters: str, items: Sequence[str]) -> str:
    """The letter and the id of each, in lines that fit beside the tiles."""
    lines = (textwrap.wrap(f"{letter}: {item}", _WIDE) for letter, item in zip(letters, items))
    return "\n".join(line for part in lines for line in part)


def _number(distance: float) -> str:
    return f"{distance:.1f}" if np.isfinite(distance) else "none"


def _drawn(cloud: np.ndarray, colour: Any) -> np.ndarray:
    return cloud_picture(cloud, STANDARD, colour)


def captioned(tile: np.ndarray, text: str) -> np.ndarray:
    """A tile (S, S, 3) uint8 with a line of text at its bottom."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(tile)
    place = (6, tile.shape[0] - 18)
    ImageDraw.Draw(image).text(place, text, "black", ImageFont.load_default(12))
    return np.asarray(image)
