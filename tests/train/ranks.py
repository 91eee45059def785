"""Run by torch.distributed.run in `test_distributed`: one process of several."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.train import toy


def main(workspace: Path, batch: int, at: int, kill: bool) -> None:
    """Train without noise; with `at`, one process alone, that which writes the checkpoints, gets a
    SIGINT at that step, or, to `kill`, a SIGKILL.
    """
    import os
    import signal

    def report(progress: object) -> None:
        if getattr(progress, "step") == at:  # noqa: B009
            signal.raise_signal(signal.SIGKILL if kill else signal.SIGINT)

    run = toy.new_run(workspace)
    params = toy.ToyParams(batch=batch, steps=12, noise=False)
    try:
        toy.train_toy(run, params, report)
    except KeyboardInterrupt:
        (workspace / f"interrupted-{os.environ['RANK']}").touch()
    except Exception as error:
        (workspace / f"stopped-{os.environ['RANK']}").write_text(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "kill" in sys.argv)
