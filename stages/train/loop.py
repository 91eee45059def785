"""The training loop of all systems.

Whatever is random is a function of (seed, step, rank), so that a run that is killed and started
again has, on the CPU, the very weights of one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch

from stages.errors import CrossdimError, EnvironmentLacks, InputError
from stages.train.context import Data, System, TrainOptions, TrainResult
from stages.train.device import choose_device, start_accelerator
from stages.train.run import Run
from stages.train.signals import StopSignals
from stages.train.trainer import Job, OnProgress, Trainer


def train(
    system: System,
    params: Any,
    data: Data,
    run: Run,
    options: TrainOptions,
    on_progress: OnProgress = lambda progress: None,
) -> TrainResult:
    """Train until the steps, the patience or the minutes are over; continue if the run was begun.

    Only the first process writes into the run's folder. Raises UsageError if the run was begun
    with other parameters or is being trained elsewhere, EnvironmentLacks for a missing device or
    too little of its memory, CrossdimError when a loss is not finite. After SIGTERM or Ctrl-C it
    saves, then raises Interrupted or KeyboardInterrupt.
    """
    params = options.apply(params)
    if not len(data.train):
        raise InputError("there is nothing to train on", "choose other categories, or add shapes")
    accelerator = start_accelerator(choose_device(options.device, options.gpu), params.precision)
    main, device = accelerator.is_main_process, accelerator.device
    with ExitStack() as stack:
        forked = [torch.cuda.current_device()] if device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(forked))  # the caller's numbers stay as they are
        signals = stack.enter_context(StopSignals())
        if main:
            stack.enter_context(run.exclusive())
            run.check(params, options.seed, options.fresh)
        accelerator.wait_for_everyone()
        trainer = Trainer(Job(system, params, data, run, options), accelerator, signals)
        stack.callback(trainer.close)
        if main and not (trainer.over() and run.exists() and run.record()["status"] == "finished"):
            stack.enter_context(_recorded(run, trainer))
            run.begin(params, options.seed)
        return trainer.finish(on_progress)


@contextmanager
def _recorded(run: Run, trainer: Trainer) -> Iterator[None]:
    """Keep the status in run.json, whatever ends the training."""
    try:
        yield
    except BaseException as error:
        with suppress(CrossdimError):  # the error that ended it is the one to tell
            run.mark("stopped", reason=str(error) or type(error).__name__)
        if isinstance(error, torch.OutOfMemoryError):
            raise EnvironmentLacks(
                f"{trainer.device} has not enough memory for batch {trainer.job.params.batch}",
                "use a smaller --batch, or --precision bf16",
            ) from error
        raise
    state = trainer.state
    facts = {"step": state.step, "best": state.best, "best_step": state.best_step}
    run.mark("finished", reason=trainer.over(), **facts)
