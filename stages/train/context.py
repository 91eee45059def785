"""What a system and the training loop agree on.

A system is a module object with what `System` lists; its data are two `Split`s. Whatever is random
in training is drawn from generators that are functions of (seed, step, rank, purpose), never from
state that would have to be saved: so a resumed run continues bit-equal.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from stages.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Precision = Literal["fp32", "bf16"]


def seed_of(seed: int, purpose: str, step: int = 0, rank: int = 0) -> int:
    """A seed of 63 bits for one purpose at one step of one process."""
    key = hashlib.blake2b(f"{seed}:{purpose}:{step}:{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(key, "little") >> 1


def generator_of(seed: int, purpose: str, step: int = 0, rank: int = 0) -> torch.Generator:
    """A CPU generator seeded with `seed_of` the same arguments."""
    import torch

    return torch.Generator().manual_seed(seed_of(seed, purpose, step, rank))


@dataclass(frozen=True)
class Context:
    """What `losses` may know about the step that it is called for."""

    step: int  # updates done so far: 0 at the first
    steps: int  # updates of the whole run
    generator: torch.Generator  # on the CPU, a function of (seed, step, rank)
    training: bool = True


class Params(Protocol):
    """Fields that the parameters of every system have; they are a frozen dataclass.

    Optional: `curve_every`, after how many steps each the metrics of one validation batch are
    logged, without a checkpoint.
    """

    @property
    def batch(self) -> int: ...  # samples a step and process
    @property
    def steps(self) -> int: ...
    @property
    def validate_every(self) -> int: ...  # steps
    @property
    def precision(self) -> Precision: ...
    @property
    def channels_last(self) -> bool: ...


class System(Protocol):
    """One of the five systems, as the loop sees it: a module object will do.

    Optional: `schedule(params, step) -> float`, the factor on the learning rates of update `step`.

    - `losses` and `validate` may call any part of `model`. Under bf16, `model(...)` itself runs in
      autocast and returns float32; all else, so geometry and losses, stays in float32.
    - "loss" is what is minimised; the other entries, scalars too, are only logged. Every parameter
      that requires a gradient must take part in "loss" at every step (DistributedDataParallel).
    - `validate` runs without gradients, in eval mode, on batches that are not augmented, the last
      of them perhaps smaller; it gives (B,) numbers a metric, averaged over the validation set.
    - What `losses` draws comes from `context.generator`, or (dropout) from torch's global one,
      which the loop seeds for every step.
    """

    @property
    def NAME(self) -> str: ...
    @property
    def SELECT(self) -> tuple[str, str]:
        """The metric of `validate` that picks the best checkpoint, and "max" or "min"."""
        ...

    @property
    def Params(self) -> type: ...

    def build(self, params: Any) -> nn.Module: ...
    def optimizer(self, model: Any, params: Any) -> torch.optim.Optimizer: ...
    def losses(
        self, model: Any, batch: dict[str, Any], params: Any, context: Context
    ) -> dict[str, Tensor]: ...
    def validate(self, model: Any, batch: dict[str, Any], params: Any) -> dict[str, Tensor]: ...


class Split(Protocol):
    """Samples 0 .. len-1. With `workers`, it must pickle: open files on first use, not before."""

    def __len__(self) -> int: ...
    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> dict[str, Any]:
        """The samples, stacked on a first axis; augmented from `generator` unless that is None.

        An entry "id" (a list of strings, or numbers) is named when a loss is not finite.
        """
        ...


class Data(Protocol):
    """What a run learns from and is selected on; `val` may be empty."""

    @property
    def train(self) -> Split: ...
    @property
    def val(self) -> Split: ...


@dataclass(frozen=True)
class TrainOptions:
    """How a run is carried out. None of it changes which weights step N has, but for `seed`,
    `precision` and, in the last digits, the device."""

    device: str | None = None  # auto, cpu, cuda, cuda:N, mps
    gpu: int | None = None  # short for cuda:N
    seed: int = 0
    steps: int | None = None  # instead of the preset's
    precision: Precision | None = None  # instead of the preset's
    minutes: float | None = None  # stop after so long, ready to be continued
    patience: int = 0  # validations without improvement before it stops, 0 for no limit
    fresh: bool = False  # start over instead of continuing
    resume: Literal["last", "best"] = "last"  # the checkpoint to continue from
    tensorboard: bool = False
    workers: int = 0  # processes that prepare batches; 0 prepares them in this one
    log_every: int = 10  # steps between rows of metrics.csv
    save_minutes: float = 10.0  # at least so often a checkpoint, validation or not

    def apply(self, params: Any) -> Any:
        """`params` with the options that replace some of them; UsageError for impossible values."""
        changes = {"steps": self.steps, "precision": self.precision}
        params = dataclasses.replace(params, **{k: v for k, v in changes.items() if v is not None})
        for name, value in [
            ("steps", params.steps),
            ("batch", params.batch),
            ("validate_every", params.validate_every),
            ("log_every", self.log_every),
        ]:
            if value < 1:
                raise UsageError(
                    f"{name} is {value}", f"--{name.replace('_', '-')} must be 1 or more"
                )
        if params.precision not in ("fp32", "bf16"):
            raise UsageError(f"no precision {params.precision!r}", "use --precision fp32 or bf16")
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"minutes is {self.minutes}", "--minutes must be above 0")
        if self.patience < 0 or self.workers < 0:
            raise UsageError("patience and workers cannot be negative", "use 0 to switch them off")
        return params


@dataclass(frozen=True)
class Progress:
    """Where a run is, handed to the caller's callback after each step and validation batch."""

    step: int
    steps: int
    losses: Mapping[str, float]  # of the latest step
    seconds_per_step: float
    metric: str  # the one that selects
    best: float | None  # its best value so far
    validated: tuple[int, int] | None = None  # samples done, samples in all; None while training


@dataclass(frozen=True)
class TrainResult:
    """How a run ended: after how many steps in all, and why."""

    steps: int
    best_metric: float | None
    seconds: float  # of this call
    stopped_reason: str  # "steps", "patience" or "minutes"
