"""Ctrl-C and SIGTERM end a command in order, and at once where that takes too long.

In order: an exception unwinds the command, which keeps what is done and stops its processes. But
an exception that arrives inside a callback of C is dropped by Python, a library may catch it, and
a long call of C lets none through. So a thread looks on: what is still there after some seconds is
ended with all its processes. Nothing is lost by that but the items in work, as after a kill.

What is not needed at once is imported in the functions: until the first of them has been called,
Ctrl-C is a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType

GRACE_SECONDS = 4.0
_LOOK_SECONDS = 0.2
_WATCHER = "signals"
_SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it
_code: int | None = None  # what the process ends with, once that is known


class Terminated(BaseException):
    """SIGTERM arrived: like Ctrl-C, but the exit code is 143."""


def leave_at_once() -> None:
    """End on a signal without an exception, as long as nothing was begun; start to look on.

    For the time of the imports: an exception would come out of the middle of one, as a traceback
    or as whatever a library makes of it. Called by the main thread, first of all.
    """
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as for what runs in the background
        signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)
    _start_to_look_on()


def listen() -> None:
    """Raise Terminated on SIGTERM, KeyboardInterrupt on Ctrl-C, and look on; by the main thread."""
    _start_to_look_on()
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def leave_with(code: int) -> None:
    """From now on, a signal ends the process with this code: all is done."""
    global _code
    import contextlib

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    _code = code
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)


def _start_to_look_on() -> None:
    import threading

    if any(thread.name == _WATCHER for thread in threading.enumerate()):
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # written to as soon as a signal arrives, whatever the main thread is in
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_look_on, args=(reading,), daemon=True, name=_WATCHER).start()


def say_stopped(number: int) -> int:
    """Two lines on stderr about the end by a signal; returns the exit code."""
    word = "interrupted" if number == signal.SIGINT else "terminated"
    sys.stderr.write(f"error: {word}: finished work is kept\nrun the same command again to go on\n")
    sys.stderr.flush()
    return 128 + number


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(say_stopped(number) if _code is None else _code)


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
    return signal.getsignal(number) in (signal.default_int_handler, _terminate, _leave)


def _end(number: int) -> None:
    """End this process and all that it started."""
    import contextlib

    import psutil

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
    _leave(number, None)
