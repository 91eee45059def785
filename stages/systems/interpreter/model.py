"""The networks of 3D-INN (figure 3): keypoint estimator, refinement, 3D interpreter.

Letters: B batch, N keypoints, h x w pixels of a picture, C channels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from stages.skeletons.template import Template, parse
from stages.systems.interpreter.contrast import normalised, pyramid
from stages.systems.interpreter.fine import FineLevel
from stages.systems.interpreter.heatmaps import rescaled
from stages.systems.interpreter.parameters import Projection, size_of
from stages.systems.interpreter.params import MAP, Params


class Scale(nn.Module):
    """One scale: as many sets of 5x5 convolution, ReLU and 2x2 pooling, then 9x9 and ReLU."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in channels[:-1]:
            layers += [nn.Conv2d(before, width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        layers += [nn.Conv2d(before, channels[-1], 9, padding=4), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


class Estimator(nn.Module):
    """Pictures (B, 3, h, w), 0 to 1, to heatmaps (B, N, 40, 30) (figure 3a).

    Three scales, each with its own weights, enlarged to the size of the first one and summed up.
    """

    def __init__(self, params: Params, keypoints: int) -> None:
        super().__init__()
        self.contrast = params.contrast
        self.scales = nn.ModuleList(Scale(params.channels) for _ in range(3))
        layers: list[nn.Module] = [nn.BatchNorm2d(params.channels[-1])]
        before = params.channels[-1]
        for width in params.head:
            layers += [nn.Conv2d(before, width, 1), nn.ReLU()]
            before = width
        self.head = nn.Sequential(*layers, nn.Conv2d(before, keypoints, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(images.device.type, enabled=False):  # differences of close numbers
            levels = [normalised(level, self.contrast) for level in pyramid(images.float())]
        parts = [F.interpolate(scale(one), size=MAP) for scale, one in zip(self.scales, levels)]
        return self.head(parts[0] + parts[1] + parts[2])


class FullyConnected(nn.Module):
    """Fully connected layers with ReLU between them."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.layers(values)


class Network(nn.Module):
    """What one step needs: the estimator with refinement and fine level, the interpreter, or both.

    `forward` gives, of pictures, `rough` and `heatmaps` (B, N, 40, 30), and where there is an
    interpreter the scaled `vector` (B, K + 9); in step interpret it is given heatmaps.
    `projection` is the layer without weights that makes skeletons of vectors.
    """

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.step, self.sigma = params.step, params.sigma
        self.template = template_of(params)
        count = len(self.template.keypoints)
        cells = count * MAP[0] * MAP[1]
        if params.step != "interpret":
            self.estimator = Estimator(params, count)
            self.refinement = (
                FullyConnected((cells, *params.refinement, cells)) if params.refinement else None
            )
            self.fine = FineLevel(count, params.fine, params.contrast) if params.fine else None
        if params.step != "keypoints":
            widths = (cells, *params.interpreter, size_of(self.template))
            self.interpreter = FullyConnected(widths)
        self.projection = Projection(self.template, self.template.range(params.ranges))

    def forward(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.step == "interpret":
            return {"vector": self.interpreter(inputs.flatten(1))}
        rough = self.estimator(inputs)
        maps = rough
        if self.refinement is not None:
            maps = self.refinement(rough.flatten(1)).reshape(rough.shape)
        if self.step == "keypoints":
            return {"rough": rough, "heatmaps": maps}
        vector = self.interpreter(rescaled(maps.float(), self.sigma).flatten(1))
        return {"rough": rough, "heatmaps": maps, "vector": vector}

    def interpret(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, K + 9) vectors of heatmaps as they are drawn."""
        return self.interpreter(maps.flatten(1))

    def keep_interpreter(self) -> None:
        """Keep the interpreter as it is now, for `interpret_as_kept`; no checkpoint holds it."""
        for name, weight in self.interpreter.named_parameters():
            kept = weight.detach().clone()
            self.register_buffer(_kept(name), kept, persistent=False)

    def interpret_as_kept(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, K + 9) vectors of estimated heatmaps by the interpreter that was kept."""
        names = [name for name, _ in self.interpreter.named_parameters()]
        weights = {name: self.get_buffer(_kept(name)) for name in names}
        inputs = rescaled(maps.float(), self.sigma).flatten(1)
        return torch.func.functional_call(self.interpreter, weights, inputs)


def _kept(name: str) -> str:
    return "kept_" + name.replace(".", "_")


def template_of(params: Params) -> Template:
    """The template that the parameters carry."""
    return parse(json.loads(params.template_json))
