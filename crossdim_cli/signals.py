"""Ctrl-C and SIGTERM end a command in order, and at once where that takes too long.

In order: an exception unwinds the command, which keeps what is done and stops its processes. But
an exception that arrives inside a callback of C is dropped by Python, a library may catch it, and
a long call of C lets none through. So a thread looks on: what is still there after some seconds is
ended with all its processes. Nothing is lost by that but the items in work, as after a kill.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType

GRACE_SECONDS = 4.0
_LOOK_SECONDS = 0.2
_SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it


class Terminated(BaseException):
    """SIGTERM arrived: like Ctrl-C, but the exit code is 143."""


def listen() -> None:
    """Raise Terminated on SIGTERM, and start to look on; called once, by the main thread."""
    signal.signal(signal.SIGTERM, _terminate)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # written to as soon as a signal arrives, whatever the main thread is in
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_look_on, args=(reading,), daemon=True, name="signals").start()


def say_stopped(number: int) -> int:
    """Two lines on stderr about the end by a signal; returns the exit code."""
    word = "interrupted" if number == signal.SIGINT else "terminated"
    sys.stderr.write(f"error: {word}: finished work is kept\nrun the same command again to go on\n")
    sys.stderr.flush()
    return 128 + number


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _look_on(reading: int) -> None:
    while True:
        for number in os.read(reading, 64):
            if number in (signal.SIGINT, signal.SIGTERM):
                time.sleep(GRACE_SECONDS)
                # a training has handlers of its own: it ends after the step in work
                while not _is_ours(number):
                    time.sleep(_LOOK_SECONDS)
                _end(number)


def _is_ours(number: int) -> bool:
    return signal.getsignal(number) in (signal.default_int_handler, _terminate)


def _end(number: int) -> None:
    """End this process and all that it started."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
    os._exit(say_stopped(number))
