"""The two encoders as programs that need nothing of ours: torch.export and ONNX.

Letters: B batch, R voxels and S pixels a side, C length of a code.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from stages.errors import CrossdimError, EnvironmentLacks, UsageError
from stages.systems.deep_encoding.model import two_channels
from stages.train.run import Trained

SUFFIXES = (".pt2", ".onnx")
Encoder = Literal["image", "voxel"]
# A program sums in another order: float32 rounds each of some thousand terms to 6e-8.
TOLERANCE = 1e-4  # of the largest component
_BATCH = 3  # of the example; the programs take any


class _Voxels(nn.Module):
    """(B, R, R, R) float32, 0 or 1, to (B, C)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.channel = model.voxel  # not the model: its other half would come along

    def forward(self, voxels: torch.Tensor) -> torch.Tensor:
        return self.channel(two_channels(voxels))


def check_suffix(path: Path) -> None:
    """UsageError unless an encoder can be written under such a name; EnvironmentLacks for ONNX
    where its packages are not installed."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot write a network as {path.suffix or path.name!r}",
            f"use one of {', '.join(SUFFIXES)}",
        )
    if path.suffix.lower() == ".onnx":
        try:
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise EnvironmentLacks(
                f"{error.name} is not installed", "run: pip install 'crossdim[onnx]'"
            ) from error


def encoder_bytes(trained: Trained, which: Encoder, suffix: str) -> tuple[bytes, float]:
    """The program of an encoder, and by how much it differs from the network.

    Inputs are `images` (B, 3, S, S) float32, 0 to 1, or `voxels` (B, R, R, R) float32, 0 or 1, the
    output `code` (B, C); B is free. The difference is the largest of any component on random
    inputs, over the largest component; the program has been read back and run. Raises CrossdimError
    if it is above TOLERANCE.
    """
    params = trained.params
    network: Any = trained.model
    generator = torch.Generator().manual_seed(0)
    if which == "voxel":
        model, side = _Voxels(network), params.voxel_res
        example = (torch.rand((_BATCH, side, side, side), generator=generator) < 0.2).float()
    else:
        model, side = network.image, params.image_size
        example = torch.rand((_BATCH, 3, side, side), generator=generator)
    model = model.cpu().eval()
    with torch.no_grad(), _quiet():
        # one more than the example: what depends on the batch would show
        probe = torch.cat([example, example[:1].flip(-1)])
        expected = model(probe).numpy()
        if suffix.lower() == ".pt2":
            data, told = _torch_program(model, example, probe)
        else:
            name = "voxels" if which == "voxel" else "images"
            data, told = _onnx_program(model, example, probe, name)
    difference = float(np.abs(told - expected).max() / np.abs(expected).max())
    if not difference <= TOLERANCE:
        raise CrossdimError(
            f"the exported {which} encoder differs from the network by {difference:.1e}",
            "this is a fault of the exporter; use the other format",
        )
    return data, difference


def _torch_program(
    model: nn.Module, example: torch.Tensor, probe: torch.Tensor
) -> tuple[bytes, np.ndarray]:
    free = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(model, (example,), dynamic_shapes=free)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    again = torch.export.load(buffer).module()
    return buffer.getvalue(), again(probe).numpy()


def _onnx_program(
    model: nn.Module, example: torch.Tensor, probe: torch.Tensor, name: str
) -> tuple[bytes, np.ndarray]:
    import onnxruntime

    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        input_names=[name],
        output_names=["code"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    if program is None:
        raise CrossdimError("torch.onnx.export gave nothing", "use .pt2")
    data = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (told,) = session.run(["code"], {name: probe.numpy()})
    return data, told


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' talk: they warn of their own deprecated calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
