"""Stopping on SIGTERM and Ctrl-C: after the step in work, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from stages.errors import CrossdimError


class Interrupted(CrossdimError):
    """SIGTERM came; the checkpoint is saved."""

    exit_code = 143


class Stopped(BaseException):
    """A signal came while there was nothing to lose."""


class StopSignals:
    """Within `with`, SIGINT and SIGTERM are noted in `received` instead of acting at once.

    A second Ctrl-C kills. Outside the main thread, where Python cannot handle signals, it does
    nothing.
    """

    def __init__(self) -> None:
        self.received: int = 0
        self._before: dict[int, Any] = {}
        self._at_once = False

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if self._at_once:
            raise Stopped

    @contextmanager
    def at_once(self, wanted: bool) -> Iterator[None]:
        """Within it a signal, also one that came before, raises Stopped if that is `wanted`."""
        self._at_once = wanted
        try:
            if wanted and self.received:
                raise Stopped
            yield
        finally:
            self._at_once = False

    def raise_received(self, step: int) -> None:
        """What the caller of the training sees of the signal that ended it."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        raise Interrupted(
            f"stopped by SIGTERM after step {step}; the checkpoint is saved",
            "the same command carries on from there",
        )


def ignore_in_worker(_: int) -> None:
    """For processes that prepare batches: signals to the whole group must not reach them, since
    the training needs a batch more to come to its end. It ends them, or they see that it is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
