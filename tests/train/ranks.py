"""Run by torch.distributed.run in `test_distributed`: one process of several."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from tests.train import toy


class Killed(toy.Toy):
    """The second process is killed in the update after so many steps."""

    def __init__(self, kill_at: int) -> None:
        super().__init__()
        self.kill_at = kill_at

    def losses(self, model: Any, batch: Any, params: Any, context: Any) -> Any:
        if context.step == self.kill_at and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().losses(model, batch, params, context)


def main(workspace: Path, batch: int, interrupt_at: int, kill_at: int) -> None:
    """Train without noise; with `interrupt_at`, one process alone gets a SIGINT at that step."""

    def report(progress: object) -> None:
        if getattr(progress, "step") == interrupt_at:  # noqa: B009
            signal.raise_signal(signal.SIGINT)

    run = toy.new_run(workspace)
    params = toy.ToyParams(batch=batch, steps=12, noise=False)
    system = Killed(kill_at or -1)
    try:
        with mock.patch.object(toy, "Toy", return_value=system):
            # each step is saved: what a kill costs is the step in work
            toy.train_toy(run, params, report, save_minutes=0.0)
    except KeyboardInterrupt:
        (workspace / f"interrupted-{os.environ['RANK']}").touch()
    except Exception as error:
        (workspace / f"stopped-{os.environ['RANK']}").write_text(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
