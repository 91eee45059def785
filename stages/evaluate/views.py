"""Novel views from one picture (equivariant paper, section 4.3, which shows pictures only).

One item is one test shape. Each of its views is drawn again from its own embedding, and turned to
three other views of the same shape, whose true pictures are there. A turn is R' R^T, from the
camera R that saw the input to the camera R' of the other view. An oracle is given the embedding of
the mesh, as that camera sees it, instead of the picture's: what is left is due to the drawing.

All numbers are of 8-bit pictures, over the whole picture. A silhouette is where a picture differs
from the plain background in any colour by a threshold, which is chosen on validation shapes; that
of a rendered picture is known. Letters: V views, P = 3 turns of a view, N pictures, S pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stages.errors import ItemError
from stages.evaluate.angles import ROTATION
from stages.evaluate.answers import network
from stages.evaluate.answers import pictures as tensor_of
from stages.evaluate.measure import RunParams
from stages.evaluate.metrics import iou
from stages.evaluate.training_views import TrainingViews, contrast
from stages.geometry.mesh import Mesh
from stages.geometry.rotations import geodesic
from stages.stage import Arrays, ArraySpec, Item, Stage
from stages.store.workspace import Workspace, category_of, read_item
from stages.train.run import Run, Trained

if TYPE_CHECKING:
    import torch

NAME = "views"
VERSION = 1
TURNS = 3
METRICS = ("psnr", "ssim", "iou")
# Answers for the view that was looked at, and for other ones; the first is the run's.
SAME = (
    "synthesised",
    "synthesised from the mesh (oracle)",
    "mean training picture",
    "nearest training view",
)
TURNED = (
    "synthesised",
    "synthesised from the mesh (oracle)",
    "mean training picture",
    "input as it is",
    "input, rolled in the plane",
    "nearest training view, turned",
)
_BATCH = 64


@dataclass(frozen=True)
class Params(RunParams):
    """What the numbers depend on; the other answers come from the `data` of the run."""

    threshold: float = 0.5  # contrast of the synthesised pictures that counts as the shape


SPEC = {
    "rotation": ROTATION,
    "told": ArraySpec("uint8", ("view", "row", "column", "colour"), shape=(None, None, None, 3)),
    "score": ArraySpec("float32", ("view", "answer", "metric"), "PSNR in dB, SSIM, mask IoU"),
    "turn_view": ArraySpec("int16", ("view", "turn")),
    "turn_deg": ArraySpec("float32", ("view", "turn"), "deg between the cameras"),
    "turn_told": ArraySpec("uint8", ("view", "turn", "row", "column", "colour")),
    "turn_score": ArraySpec(
        "float32", ("view", "turn", "answer", "metric"), "PSNR in dB, SSIM, mask IoU"
    ),
}


class Pictures(NamedTuple):
    """(N, S, S, 3) uint8 colours and (N, S, S) bool silhouettes."""

    rgb: np.ndarray
    mask: np.ndarray

    def take(self, index: np.ndarray) -> Pictures:
        """Those of (M,) numbers."""
        return Pictures(self.rgb[index], self.mask[index])


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """Every number of one shape; the network and the training views are read once a process."""
    source = item.source
    trained = network(source["run"], params.weights, source["device"])
    seen = _training_views(source["run"], category_of(item.id))
    views = read_item(source["pictures"], item.id, ("rgb", "mask", "extrinsics"))
    truth = Pictures(views["rgb"], views["mask"] >= 128)
    rotation = views["extrinsics"][:, :, :3]
    count = len(rotation)
    if count <= TURNS:
        raise ItemError(f"{count} views are too few for {TURNS} others each")
    first = np.repeat(np.arange(count), TURNS)  # (V P,)
    second = np.concatenate([_others(view, count, rng) for view in range(count)])
    turn = rotation[second] @ rotation[first].transpose(0, 2, 1)
    drawer = Drawer(trained, source["device"])
    mesh = Mesh.from_arrays(read_item(source["shapes"], item.id))
    maps = (drawer.embed(truth.rgb), drawer.embed_mesh(mesh, rotation))  # (V, C, t, t) each
    told = [drawer.draw(one) for one in maps]
    turned = [drawer.draw(one[first], turn) for one in maps]
    nearest = seen.nearest(truth.rgb)

    def silhouetted(rgb: np.ndarray, threshold: float) -> Pictures:
        return Pictures(rgb, contrast(rgb, seen.grey) >= threshold)

    mean = silhouetted(seen.mean[None], seen.mean_threshold)
    same = (
        *(silhouetted(rgb, params.threshold) for rgb in told),
        mean,
        Pictures(*seen.read(nearest)),
    )
    others = (
        *(silhouetted(rgb, params.threshold) for rgb in turned),
        mean,
        truth.take(first),
        rolled(truth.take(first), turn),
        Pictures(*seen.read(seen.turned(nearest[first], turn))),
    )
    degrees = np.degrees(geodesic(rotation[first], rotation[second]))
    shape = (count, TURNS)
    scores = compare(others, truth.take(second))
    return {
        "rotation": rotation,
        "told": told[0],
        "score": compare(same, truth),
        "turn_view": second.reshape(shape).astype(np.int16),
        "turn_deg": degrees.reshape(shape).astype(np.float32),
        "turn_told": turned[0].reshape(*shape, *turned[0].shape[1:]),
        "turn_score": scores.reshape(*shape, *scores.shape[1:]),
    }


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    Params,
    SPEC,
    process,
    command=f"crossdim eval {NAME}",
)


def compare(answers: Sequence[Pictures], truth: Pictures) -> np.ndarray:
    """(N, answers, 3) float32 METRICS of answers, each (N, ...) or one for all, beside the truth.

    SSIM as Wang et al. (2004): Gaussian windows of 1.5 pixels, mean over colours.
    """
    import torch
    from skimage.metrics import structural_similarity

    from stages.systems.pictures import psnr

    true = truth.rgb / 255
    scores = np.empty((len(true), len(answers), len(METRICS)), np.float32)
    for number, answer in enumerate(answers):
        told = np.broadcast_to(answer.rgb / 255, true.shape)
        scores[:, number, 0] = psnr(torch.from_numpy(told.copy()), torch.from_numpy(true)).numpy()
        scores[:, number, 1] = [
            structural_similarity(
                one,
                other,
                data_range=1.0,
                channel_axis=2,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for one, other in zip(told, true)
        ]
        scores[:, number, 2] = iou(answer.mask, truth.mask)
    return scores


def rolled(pictures: Pictures, turn: np.ndarray) -> Pictures:
    """The pictures turned by the part of (N, 3, 3) turns that is about the optical axis.

    The angle of the rotation about z that is nearest to the turn.
    """
    import torch

    from stages.systems.pictures import rolled_pictures

    angle = np.arctan2(turn[:, 1, 0] - turn[:, 0, 1], turn[:, 0, 0] + turn[:, 1, 1])
    about = torch.from_numpy(angle.astype(np.float32))
    rgb = rolled_pictures(tensor_of(pictures.rgb), about)
    mask = rolled_pictures(torch.from_numpy(pictures.mask[:, None]).float(), about)
    return Pictures(_bytes(rgb), mask[:, 0].numpy() >= 0.5)


@dataclass(frozen=True)
class Drawer:
    """A trained network, asked in parts on its device; tensors are on the CPU."""

    trained: Trained
    device: str

    def embed(self, rgb: np.ndarray) -> torch.Tensor:
        """(N, C, t, t) embeddings of pictures (N, S, S, 3) uint8."""
        from stages.systems.view_synthesis.model import embed_pictures

        return self._asked(embed_pictures, tensor_of(rgb))

    def embed_mesh(self, mesh: Mesh, rotation: np.ndarray) -> torch.Tensor:
        """(N, C, t, t) embeddings of a mesh as cameras (N, 3, 3) see it."""
        import torch

        from stages.raycast import cast
        from stages.raycast.body import prepare
        from stages.systems.equivariant.data import RES
        from stages.systems.spherical_cnn.data import SCALE
        from stages.systems.view_synthesis.model import embed_maps

        body = prepare(mesh)
        maps = np.stack([cast(body, RES, matrix=one) for one in rotation])
        return self._asked(embed_maps, torch.from_numpy(maps) * SCALE)

    def draw(self, maps: torch.Tensor, turn: np.ndarray | None = None) -> np.ndarray:
        """(N, S, S, 3) uint8 pictures of embeddings (N, C, t, t), after turns (N, 3, 3)."""
        import torch

        from stages.systems.view_synthesis.model import turned

        if turn is not None:
            maps = turned(maps, torch.from_numpy(turn))
        with torch.no_grad():
            parts = [self.trained.model(p.to(self.device)).cpu() for p in maps.split(_BATCH)]
        return _bytes(torch.cat(parts).float())

    def _asked(self, embed: Callable[..., torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
        import torch

        network: Any = self.trained.model.embedding
        return torch.cat([embed(network, p.to(self.device)).cpu() for p in inputs.split(_BATCH)])


def _bytes(images: torch.Tensor) -> np.ndarray:
    """(N, S, S, 3) uint8."""
    return (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def _others(view: int, views: int, rng: np.random.Generator) -> np.ndarray:
    """TURNS views that are not `view`."""
    drawn = rng.choice(views - 1, TURNS, replace=False)
    return drawn + (drawn >= view)


@lru_cache(maxsize=8)
def _training_views(folder: str, category: str) -> TrainingViews:
    """What of a category a run was trained on."""
    run = Run(Path(folder))
    data = run.record()["data"]
    views = Workspace(run.folder.parents[2]).artefact("views", data["variants"]["views"])
    return TrainingViews.of(views, category, data["ids"]["train"], data["ids"]["val"])
