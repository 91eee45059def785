"""One training on one process: what is due after each step, and when to stop.

All that has to be saved to go on from a step is the weights, the optimiser's state and
`TrainState`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast

from stages.errors import CrossdimError
from stages.stage import params_json
from stages.train import checkpoint
from stages.train.context import Data, Progress, System, TrainOptions, TrainResult
from stages.train.feed import Feed, TrainBatches, ValidationBatches
from stages.train.learner import Learner
from stages.train.log import Metrics, open_tensorboard
from stages.train.run import Run
from stages.train.signals import Stopped, StopSignals

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Job:
    """What to train, on what, where, and how."""

    system: System
    params: Any
    data: Data
    run: Run
    options: TrainOptions


@dataclass
class TrainState:
    """What the loop must remember from one step to the next, besides weights and optimiser."""

    step: int = 0  # updates done
    validated: int = 0  # the step of the last validation
    best: float | None = None
    best_step: int = 0
    stale: int = 0  # validations since the best
    rate: float = 0.0  # learning rate of the last update
    seconds: float = 0.0  # of training, over all sessions
    summed: int = 0  # steps in `sums`
    sums: dict[str, float] = field(default_factory=dict)  # of the losses since the last row


class Trainer:
    """One call of `train` on one process: what is due after each step, and when to stop."""

    def __init__(self, job: Job, accelerator: Accelerator, signals: StopSignals) -> None:
        self.job, self.accelerator, self.signals = job, accelerator, signals
        self.device, self.main = accelerator.device, accelerator.is_main_process
        self.world, rank = accelerator.num_processes, accelerator.process_index
        options, params, folder = job.options, job.params, job.run.checkpoints
        saved = None
        if options.resume == "best" or (folder / "last.json").exists():
            saved = checkpoint.load(folder, options.resume, job.system.NAME)
        self.state = TrainState(**saved.state) if saved else TrainState()
        self.learner = Learner(job.system, params, options.seed, accelerator, saved)
        self.board: Any = None
        if self.main:
            if options.tensorboard:
                self.board = open_tensorboard(job.run.folder / "tensorboard", self.state.step)
            self.metrics = Metrics(job.run.metrics, self.state.step)
        train = TrainBatches(job.data.train, options.seed, params.batch, rank, self.world)
        steps = range(self.state.step, params.steps)
        self.train_feed = Feed(train, steps, options.workers, self.device)
        self.val = ValidationBatches(job.data.val, params.batch)
        rounds = self.val.rounds(rank, self.world)
        self.val_feed = Feed(self.val, rounds, options.workers, self.device)
        self.began = self.saved = time.monotonic()
        self.seconds_before, self.saved_step = self.state.seconds, self.state.step
        self.interrupted = self.late = False
        self.pace = 0.0  # seconds a step, smoothed
        self.losses: dict[str, float] = {}
        self.scores: dict[str, float] = {}

    def finish(self, on_progress: OnProgress) -> TrainResult:
        """Train to the end; see `train`."""
        self.on_progress = on_progress if self.main else lambda progress: None
        if self._due() and self.state.validated < self.state.step:
            self._validate()  # it was killed in between
        batches = iter(self.train_feed)  # workers start at the first `next`
        while not (reason := self.over()):
            try:  # of several processes all stop after the same step
                with self.signals.at_once(self.world == 1):
                    batch = next(batches)
            except Stopped:
                self.interrupted = True
                continue
            self._step(batch)
            if self._due():
                self._validate()
            elif self._curve_due() or self.state.step % self.job.options.log_every == 0:
                self._log({})
            if time.monotonic() - self.saved > 60 * self.job.options.save_minutes:
                self._save(["last"])
        if reason == "minutes" and self.state.validated < self.state.step:
            self._validate()
        if self.saved_step < self.state.step:
            self._save(["last"])
        if self.interrupted:
            self.signals.raise_received(self.state.step)
        seconds = time.monotonic() - self.began
        return TrainResult(self.state.step, self.state.best, seconds, reason)

    def close(self) -> None:
        """End the workers, close what is open."""
        self.train_feed.close()
        self.val_feed.close()
        if self.board:
            self.board.close()

    def over(self) -> str:
        """Why no further step is made, or nothing; the same on all processes."""
        state, patience = self.state, self.job.options.patience
        if self.interrupted:
            return "signal"
        if state.step >= self.job.params.steps:
            return "steps"
        if patience and state.stale >= patience:
            return "patience"
        return "minutes" if self.late else ""

    def _due(self) -> bool:
        step, params = self.state.step, self.job.params
        return step > 0 and (step % params.validate_every == 0 or step == params.steps)

    def _step(self, batch: dict[str, Any]) -> None:
        state, start = self.state, time.monotonic()
        losses = self.learner.losses(batch, state.step)
        self.losses = self._agree(losses)
        self._check_finite(losses, batch)
        state.rate = self.learner.update(losses["loss"], state.step)
        state.step += 1
        state.summed += 1
        for name, value in self.losses.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
        took = time.monotonic() - start
        self.pace = 0.9 * self.pace + 0.1 * took if self.pace else took
        self._report(None)

    def _agree(self, losses: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """The losses, averaged over the processes; and whether any of them is to stop."""
        minutes = self.job.options.minutes
        late = minutes is not None and time.monotonic() - self.began > 60 * minutes
        flags = torch.tensor([float(self.signals.received != 0), float(late)], device=self.device)
        scalars = [value.detach().float().reshape(1) for value in losses.values()]
        vector = torch.cat([*scalars, flags])
        if self.world > 1:
            vector = self.accelerator.reduce(vector, "mean")
        *values, interrupted, late_ones = vector.tolist()
        self.interrupted, self.late = interrupted > 0, late_ones > 0
        return dict(zip(losses, values))

    def _check_finite(self, losses: Mapping[str, torch.Tensor], batch: Mapping[str, Any]) -> None:
        bad = [name for name, value in self.losses.items() if not math.isfinite(value)]
        if not bad:
            return
        name = next((name for name in bad if name != "loss"), "loss")  # a term, not their sum
        ids = [str(i) for i in batch.get("id", [])]
        among = f" (batch: {', '.join(ids[:8])}{', ...' if len(ids) > 8 else ''})" if ids else ""
        if losses[name].isfinite():
            among = " (in another process)"
        raise CrossdimError(
            f"{name} is {self.losses[name]} at step {self.state.step + 1}{among}",
            f"the checkpoint of step {self.saved_step} is kept; lower the learning rate, or look"
            " at these shapes",
        )

    def _validate(self) -> None:
        """Validate, write the row, save; nothing of it if a signal comes meanwhile."""
        scores = self._score()
        if scores is None:
            return
        state, (metric, mode) = self.state, self.job.system.SELECT
        state.validated, self.scores = state.step, scores
        if scores and metric not in scores:
            raise ValueError(f"SELECT names {metric}, validate gave {', '.join(scores)}")
        score = scores.get(metric, math.nan)
        better = not scores  # with nothing to select on, the latest is the best
        if math.isfinite(score):  # NaN is never the best
            sign = 1 if mode == "max" else -1
            better = state.best is None or sign * score > sign * state.best
            state.best = score if better else state.best
        state.best_step = state.step if better else state.best_step
        state.stale = 0 if better else state.stale + 1
        self._log({f"val_{name}": value for name, value in scores.items()})
        self._save(["best", "last"] if better else ["last"])

    def _score(self) -> dict[str, float] | None:
        """Each metric, averaged over the validation set; None if a signal came."""
        total, done = len(self.job.data.val), 0
        sums: dict[str, float] = {}
        if self.world > 1:  # batch norm: what is validated is what the first process saves
            broadcast(list(self.learner.model.buffers()))
        self.learner.objective.eval()
        batches = iter(self.val_feed)
        try:
            with self.signals.at_once(self.world == 1):
                for batch, count in batches:
                    self._agree({})
                    if self.interrupted:
                        break
                    for name, value in self.learner.scores(batch, count).items():
                        sums[name] = sums.get(name, 0.0) + value
                    done += count
                    self._report((min(done * self.world, total), total))
        except Stopped:
            self.interrupted = True
        self.learner.objective.train()
        if self.interrupted:
            return None
        if self.world > 1 and sums:
            vector = torch.tensor([*sums.values()], dtype=torch.float64, device=self.device)
            sums = dict(zip(sums, self.accelerator.reduce(vector, "sum").tolist()))
        return {name: value / total for name, value in sums.items()}

    def _curve_due(self) -> bool:
        every = getattr(self.job.params, "curve_every", 0)
        return every > 0 and self.state.step % every == 0 and len(self.val.split) > 0

    def _curve(self) -> dict[str, float]:
        """The metrics of one validation batch, another one each time, for the learning curve."""
        number = self.state.step // self.job.params.curve_every % len(self.val.rounds(0, 1))
        self.learner.objective.eval()
        batch, count = self.val[number]
        scores = self.learner.scores(batch, count)
        self.learner.objective.train()
        return {f"curve_{name}": value / count for name, value in scores.items()}

    def _log(self, scores: Mapping[str, float]) -> None:
        """One row of metrics.csv: the mean losses since the row before, and the validation."""
        state = self.state
        means = {name: value / state.summed for name, value in state.sums.items()}
        state.sums, state.summed = {}, 0
        if not self.main:
            return
        when = {"step": state.step, "seconds": self._seconds(), "lr": state.rate}
        curve = self._curve() if self._curve_due() else {}
        row = {**when, **means, **curve, **scores}
        self.metrics.append(row)
        if self.board:
            for name, value in row.items():
                self.board.add_scalar(name, value, state.step)

    def _save(self, pointers: list[str]) -> None:
        state, job = self.state, self.job
        state.seconds = self._seconds()
        if self.main:
            self.metrics.sync()
            content = checkpoint.Checkpoint(
                system=job.system.NAME,
                params=params_json(job.params),
                seed=job.options.seed,
                inputs=job.run.record()["data"]["fingerprint"],
                step=state.step,
                state=asdict(state),
                weights=checkpoint.snapshot_weights(self.learner.model),
                optimizer=checkpoint.snapshot_optimizer(self.learner.optimizer),
                metrics=self.scores if state.validated == state.step else {},
            )
            checkpoint.save(job.run.checkpoints, content, pointers)
        self.saved, self.saved_step = time.monotonic(), state.step

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.began

    def _report(self, validated: tuple[int, int] | None) -> None:
        self.on_progress(
            Progress(
                step=self.state.step,
                steps=self.job.params.steps,
                losses=self.losses,
                seconds_per_step=self.pace,
                metric=self.job.system.SELECT[0],
                best=self.state.best,
                validated=validated,
            )
        )
