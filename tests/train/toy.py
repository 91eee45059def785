"""A system of a few hundred weights with everything that can make a resume differ: batch norm,
dropout, noise, augmentation, momentum, a schedule. Its parameters switch faults on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from stages.errors import CrossdimError, InputError
from stages.train.context import Context, Progress, TrainOptions
from stages.train.run import About, Run, Selection, create_run


@dataclass(frozen=True)
class ToyParams:
    batch: int = 8
    steps: int = 24
    validate_every: int = 5
    precision: str = "fp32"
    channels_last: bool = False
    width: int = 6
    noise: bool = True  # batch norm, dropout and noise, which differ from rank to rank
    nan_at: int = -1  # the step whose "shape" loss is NaN
    nan_gradient_at: int = -1  # the step with a finite loss and a gradient that is not
    sleep: float = 0.0
    worsens: bool = False  # validation: the metric falls with every step


class Net(nn.Module):
    def __init__(self, params: ToyParams) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, params.width, 3)
        self.norm: Any = nn.BatchNorm2d(params.width) if params.noise else nn.Identity()
        self.drop = nn.Dropout(0.3 if params.noise else 0.0)
        self.head = nn.Linear(params.width, 3)
        self.seen: list[Any] = []  # dtypes inside, and the layout of the input

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        self.seen = [h.dtype, x.is_contiguous(memory_format=torch.channels_last)]
        return self.head(self.drop(self.norm(h).relu().mean((2, 3))))  # (B, 3)


class Toy:
    NAME = "toy"
    SELECT = ("accuracy", "max")
    Params = ToyParams

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def build(self, params: ToyParams) -> Net:
        return Net(params)

    def optimizer(self, model: Net, params: ToyParams) -> torch.optim.Optimizer:
        groups: list[dict[str, Any]]
        groups = [{"params": model.conv.parameters(), "lr": 3e-3}, {"params": rest(model)}]
        return torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.01)

    def schedule(self, params: ToyParams, step: int) -> float:
        return 1 - step / (2 * params.steps)

    def losses(
        self, model: Net, batch: dict[str, Any], params: ToyParams, context: Context
    ) -> dict[str, Tensor]:
        time.sleep(params.sleep)
        noise = torch.randn(batch["image"].shape, generator=context.generator)
        out = model(batch["image"] + 0.1 * params.noise * noise.to(batch["image"].device))
        self.seen = [*model.seen, out.dtype, (out @ out.T).dtype]
        shape = nn.functional.mse_loss(out, batch["target"])
        if context.step == params.nan_at:
            shape = shape * float("nan")
        size = out.abs().mean()
        loss = shape + 0.1 * size
        if context.step == params.nan_gradient_at:  # d sqrt(x) / dx at 0 is infinite, times 0: NaN
            loss = loss + (model.head.weight.sum() * 0).sqrt()
        return {"loss": loss, "shape": shape, "size": size}

    def validate(self, model: Net, batch: dict[str, Any], params: ToyParams) -> dict[str, Tensor]:
        assert not model.training
        error = (model(batch["image"]) - batch["target"]).abs().mean(1)  # (B,)
        accuracy = -error - (100 * model.norm.num_batches_tracked if params.worsens else 0)
        return {"accuracy": accuracy, "error": error}


def rest(model: Net) -> list[nn.Parameter]:
    return [*model.norm.parameters(), *model.head.parameters()]


class Split:
    """`count` pictures whose targets are their channel means; augmentation shifts the colours."""

    def __init__(self, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.rand((count, 2, 6, 6), generator=generator)
        self.asked: list[list[int]] = []
        self.fail_at: int | None = None  # the call of `batch` that raises

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> dict[str, Any]:
        self.asked.append(list(indices))
        if len(self.asked) == self.fail_at:
            raise InputError("shard 3 is damaged", "make it again")
        image = self.images[list(indices)]
        means = image.mean((2, 3))
        target = torch.cat([means, means.sum(1, keepdim=True)], 1)  # (B, 3)
        if generator is not None:
            image = image + 0.01 * torch.randn((len(image), 2, 1, 1), generator=generator)
        return {"image": image, "target": target, "id": [f"toy/{i}" for i in indices]}


def data(train: int = 30, val: int = 11) -> Any:
    return SimpleNamespace(train=Split(train, 1), val=Split(val, 2))


def new_run(workspace: Path, name: str = "a", categories: tuple[str, ...] = ("toy",)) -> Run:
    selection = Selection(categories, {"views": "tiny"}, {"train": ("toy/0",)}, "f00d")
    return create_run(workspace, "toy", name, About("tiny", selection, ("crossdim", "train")))


def train_toy(
    run: Run,
    params: ToyParams | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    **options: Any,
) -> Any:
    from stages.train.loop import train

    options = {"device": "cpu", "log_every": 2, **options}
    return train(Toy(), params or ToyParams(), data(), run, TrainOptions(**options), on_progress)


# --- in a process of its own, which the test may kill

context = multiprocessing.get_context("forkserver")
# every optimiser imports torch._dynamo: 2 s that the children need not spend each
context.set_forkserver_preload(["tests.train.toy", "stages.train.loop", "torch._dynamo"])


def child(pipe: Any, workspace: Path, params: ToyParams, options: dict[str, Any]) -> None:
    """Train, reporting each step through the pipe; exit as the command line would."""
    torch.set_num_threads(1)
    os.setpgrp()

    def report(progress: Progress) -> None:
        pipe.send((progress.step, progress.validated))

    try:
        train_toy(new_run(workspace), params, report, **options)
    except KeyboardInterrupt:
        sys.exit(130)
    except CrossdimError as error:
        sys.exit(error.exit_code)


def start(workspace: Path, params: ToyParams, **options: Any) -> tuple[Any, Any]:
    """(process, pipe) of a training begun."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(theirs, workspace, params, options))
    process.start()
    theirs.close()
    return process, ours


def signal_when(
    process: Any, pipe: Any, number: signal.Signals, when: Callable[[Any], bool]
) -> int:
    """Send the signal at the first report that fits, wait for the end, return the exit code."""
    try:
        while not when(pipe.recv()):
            pass
        os.kill(process.pid, number)
        while True:
            pipe.recv()  # it must not block on a full pipe
    except EOFError:
        process.join(30)
    assert process.exitcode is not None
    return process.exitcode
