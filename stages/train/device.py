"""Which device to train on, and Accelerate set up for it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import torch

from stages.errors import EnvironmentLacks, UsageError
from stages.train.context import Precision

if TYPE_CHECKING:
    from accelerate import Accelerator


def choose_device(device: str | None = None, gpu: int | None = None) -> torch.device:
    """The device meant by `--device auto|cpu|cuda|cuda:N|mps` or by `--gpu N`.

    auto, or neither of them: a GPU where there is one, else the CPU. Raises UsageError for both
    at once or for an unknown word, EnvironmentLacks (naming what was found) for a missing device.
    """
    if device is not None and gpu is not None:
        raise UsageError(f"--device {device} and --gpu {gpu} together", "give one of them")
    wanted = device or "auto"
    if gpu is not None:
        wanted = f"cuda:{gpu}"
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", wanted):
        if gpu is not None:
            raise UsageError(f"no GPU has the number {gpu}", "use --gpu 0 for the first")
        raise UsageError(
            f"no device is called {wanted!r}", "use --device auto, cpu, cuda, cuda:N or mps"
        )
    found = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if wanted == "auto":
        wanted = next((kind for kind, count in found.items() if count), "cpu")
    chosen = torch.device(wanted)
    if chosen.type != "cpu" and (chosen.index or 0) >= found[chosen.type]:
        raise EnvironmentLacks(
            f"there is no {_name(chosen)} on this machine",
            f"found: {', '.join(devices_found())}; choose with --device or --gpu",
        )
    return chosen


def devices_found() -> list[str]:
    """What can be asked for here, as `--device` spells it, GPUs with their names."""
    cuda = range(torch.cuda.device_count())
    names = [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in cuda]
    return [*names, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return "CUDA GPU" if device.index is None else f"CUDA GPU {device.index}"
    return "Apple GPU (mps)"


def start_accelerator(device: torch.device, precision: Precision) -> Accelerator:
    """Accelerate on that device; under `accelerate launch` or torchrun, one process of many.

    Raises EnvironmentLacks where the device cannot do bf16, UsageError for `cuda:N` in one of
    several processes (each gets its own GPU).
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    if device.index is not None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            f"several processes cannot share {device}", "use --device cuda: each gets its own GPU"
        )
    # Accelerate keeps the first device and precision of a process for ever; a program may train
    # twice. Its own tests begin anew in this way; the process group, if any, stays.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    mixed = "bf16" if precision == "bf16" else "no"
    try:
        accelerator = Accelerator(mixed_precision=mixed, cpu=device.type == "cpu")
    except ValueError as error:
        if "bf16" not in str(error):
            raise
        raise EnvironmentLacks(f"{device} cannot do bf16", "use --precision fp32") from error
    if accelerator.device.type != device.type:
        raise UsageError(
            f"the launcher chose {accelerator.device.type}, the command {device.type}",
            "give the same --device to both",
        )
    return accelerator
