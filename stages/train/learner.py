"""The model, its losses and its optimiser, prepared by Accelerate for one or many processes."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from stages.train.checkpoint import Checkpoint, restore_model, restore_optimizer
from stages.train.context import Context, System, generator_of, seed_of
from stages.train.feed import to_device


class Objective(nn.Module):
    """The losses as one module, so that DistributedDataParallel lets them use any part of the
    model, and so that only the model's own `forward` runs in autocast.
    """

    def __init__(self, system: System, model: nn.Module, params: Any, device: str) -> None:
        super().__init__()
        self.system, self.model, self.params, self.device_type = system, model, params, device

    def forward(self, batch: dict[str, Any], context: Context) -> dict[str, Tensor]:
        with torch.autocast(self.device_type, enabled=False):
            losses = self.system.losses(self.model, batch, self.params, context)
        return {name: v if name == "loss" else v.detach() for name, v in losses.items()}


class Learner:
    """What learns: one update, or one validation batch, at a time.

    `saved` is the checkpoint to go on from. Initial weights are a function of the seed alone, and
    made on the CPU, so that they are the same on every device.
    """

    def __init__(
        self,
        system: System,
        params: Any,
        seed: int,
        accelerator: Accelerator,
        saved: Checkpoint | None,
    ) -> None:
        self.system, self.params, self.seed = system, params, seed
        self.accelerator, self.rank = accelerator, accelerator.process_index
        torch.manual_seed(seed_of(seed, "weights"))
        model = system.build(params)
        if saved:
            restore_model(model, saved)
        model.to(accelerator.device)
        if params.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = system.optimizer(model, params)
        self._rates = [group["lr"] for group in optimizer.param_groups]
        if saved:
            restore_optimizer(optimizer, saved)
        self.model = accelerator.prepare_model(model, evaluation_mode=True)
        objective = Objective(system, self.model, params, accelerator.device.type)
        self.objective, self.optimizer = accelerator.prepare(objective, optimizer)
        self.objective.train()

    def losses(self, batch: dict[str, Any], step: int) -> dict[str, Tensor]:
        """The losses on the batch; "loss" with its graph, for `update`."""
        torch.manual_seed(seed_of(self.seed, "dropout", step, self.rank))
        noise = generator_of(self.seed, "noise", step, self.rank)
        batch = to_device(batch, self.accelerator.device, self.params.channels_last)
        return self.objective(batch, Context(step, self.params.steps, noise))

    def update(self, loss: Tensor, step: int) -> float:
        """One step of the optimiser; returns the learning rate of its first group."""
        schedule = getattr(self.system, "schedule", None)
        factor = schedule(self.params, step) if schedule else 1.0
        for group, rate in zip(self.optimizer.param_groups, self._rates):
            group["lr"] = rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.optimizer.step()
        return self._rates[0] * factor

    @torch.no_grad()
    def scores(self, batch: dict[str, Any], count: int) -> dict[str, float]:
        """The sum of each validation metric over the batch; 0 if its `count` samples are 0."""
        torch.manual_seed(seed_of(self.seed, "validate", 0, self.rank))
        batch = to_device(batch, self.accelerator.device, self.params.channels_last)
        values = self.system.validate(self.model, batch, self.params)
        for name, value in values.items():
            if value.ndim != 1 or (count and len(value) != count):
                raise ValueError(f"validate gave {name} as {tuple(value.shape)}, not ({count},)")
        return {n: float(v.cpu().double().sum()) if count else 0.0 for n, v in values.items()}
