"""Novel views of test shapes from one picture each: figures 6 and 9 of the equivariant paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from stages.evaluate.answers import network, pictures
from stages.export.pictures import in_turn, sheet_png
from stages.geometry.rotations import geodesic
from stages.store.workspace import Artefact
from stages.train.run import Run

CHANNELS = 3
COLUMNS = (
    "input",
    *(f"channel {n + 1}" for n in range(CHANNELS)),
    *(f"channel {n + 1}, turned" for n in range(CHANNELS)),
    "synthesised",
    "true view",
)


def synthesis_sheet(run: Run, views: Artefact, shapes: int, turns: int, device: str) -> bytes:
    """PNG of `shapes` test shapes: one row as it was seen, then `turns` rows of other views.

    COLUMNS of maps show the colatitude from top to bottom, the longitude from left to right, red
    above and blue below 0; the channels are those that differ most between the pictures shown.
    The views of a shape that are turned to lie as far apart as there are.
    """
    there = views.index.items()
    test = [item for item in sorted(run.record()["data"]["ids"]["test"]) if item in there]
    trained = network(str(run.folder), run.best()["sha256"], device)
    seen = {
        item: _synthesised(trained, views.read(item, ("rgb", "extrinsics")), turns, device)
        for item in in_turn(test, shapes)
    }
    channels = telling(np.concatenate([one["embedding"] for one in seen.values()]))
    rows = [row for item, one in seen.items() for row in _rows(item, one, channels)]
    return sheet_png(COLUMNS, rows)


def _synthesised(trained: Any, arrays: Any, turns: int, device: str) -> dict[str, np.ndarray]:
    """Of the first view: `embedding` (K, C, t, t) turned to K views, `picture`, `true`, `deg`."""
    import torch

    rotation = arrays["extrinsics"][:, :, :3]
    chosen = spread(rotation, turns)  # (K,), the first view first
    turn = rotation[chosen] @ rotation[0].T
    image = pictures(arrays["rgb"][:1]).to(device)
    told = trained.system.predict(
        trained.model,
        image.expand(len(turn), -1, -1, -1),
        trained.params,
        torch.from_numpy(turn).to(device),
    )
    return {
        "embedding": told["embedding"].cpu().numpy(),
        "picture": (told["picture"] * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy(),
        "input": arrays["rgb"][0],
        "true": arrays["rgb"][chosen],
        "deg": np.degrees(geodesic(np.broadcast_to(rotation[0], turn.shape), rotation[chosen])),
    }


def spread(rotation: np.ndarray, more: int) -> np.ndarray:
    """(1 + `more`,) numbers of (V, 3, 3) rotations: the first, then each far from those before.

    Fewer if there are not so many.
    """
    chosen = [0]
    while len(chosen) < min(1 + more, len(rotation)):
        distance = geodesic(rotation[:, None], rotation[chosen][None]).min(1)
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
    return np.array(chosen)


def telling(embeddings: np.ndarray) -> np.ndarray:
    """(CHANNELS,) numbers of the channels of (N, C, t, t) that differ most between maps."""
    return np.argsort(-embeddings.var(0).mean((1, 2)), kind="stable")[:CHANNELS]


def _rows(
    item: str, seen: dict[str, np.ndarray], channels: np.ndarray
) -> Iterator[tuple[str, list[np.ndarray]]]:
    maps = seen["embedding"][:, channels]  # (K, CHANNELS, t, t)
    scale = np.abs(maps).max((0, 2, 3))  # of each channel
    own = [coloured(one, most) for one, most in zip(maps[0], scale)]
    for number, degrees in enumerate(seen["deg"]):
        label = item if number == 0 else f"{item}\nturned by {degrees:.0f}°"
        turned = [coloured(one, most) for one, most in zip(maps[number], scale)]
        novel = [seen["picture"][number], seen["true"][number]]
        yield label, [seen["input"], *own, *turned, *novel]


def coloured(values: np.ndarray, most: float) -> np.ndarray:
    """(t, t, 3) uint8 picture of a map: -`most` blue, 0 white, `most` red."""
    share = np.clip(values / max(float(most), 1e-12), -1, 1)[..., None]
    red, blue, white = np.array([178, 24, 43]), np.array([33, 102, 172]), np.array([255, 255, 255])
    end = np.where(share > 0, red, blue)
    return np.round(white + np.abs(share) * (end - white)).astype(np.uint8)
