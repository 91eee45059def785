"""The real command line in processes of its own, of which many are needed: all that is imported is
imported once, by the server that they are forked from, as `multiprocessing` provides it.
"""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.engine import plan as planning
from tests.faults.processes import outliving

SHARD_ITEMS = 2  # so that few items are several shards
SECONDS = 120  # that a command may take, beside any other load
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "tests.faults.real",
        "tests.train.toy",
        "stages.train.loop",
        "torch._dynamo",
        "trimesh",
        "numba",
    ]
)


@dataclass(frozen=True)
class Setup:
    """What is done to the process before the command begins."""

    at: str = ""  # `module:function`: `delay` seconds after the begin of its n-th call
    call: int = 1  # (this is n)
    delay: float = 0.03  # below zero: before that call begins
    number: int = signal.SIGINT  # the process sends this signal
    group: bool = False  # to all of its group, as a terminal does, or to itself alone
    cold: Path | None = None  # an empty folder for what numba compiles
    obeys: bool = False  # the modes of files, which the super-user need not
    file_bytes: int = -1  # no file may grow beyond it


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int  # minus the signal if it was killed by one
    out: str  # stdout and stderr
    hit: bool  # whether the signal was sent before that
    seconds: float  # since then
    left: list[int]  # processes that were still there two seconds later


class Command:
    """A command that was started, the leader of a session of its own."""

    def __init__(self, line: str, root: Path, log: Path, setup: Setup = Setup()) -> None:
        self._log = log
        ours, theirs = _context.Pipe(duplex=False)
        words = [*line.split(), "--workspace", str(root)]
        self._process: Any = _context.Process(target=_begin, args=(words, log, setup, theirs))
        self._process.start()
        theirs.close()
        self._pipe = ours
        self.pid: int = self._process.pid
        ours.recv()  # it leads its session now

    def end(self) -> Ended:
        """Wait for the end."""
        try:
            sent = self._pipe.recv()
        except EOFError:  # without a signal
            sent = 0.0
        self._process.join(SECONDS)
        seconds = time.monotonic() - sent
        left = outliving(self.pid, 2.0)
        code = self._process.exitcode
        assert code is not None, self._log.read_text()
        return Ended(code, self._log.read_text(), sent > 0, seconds, left)


def run(line: str, root: Path, log: Path, setup: Setup = Setup()) -> Ended:
    """A command from beginning to end."""
    return Command(line, root, log, setup).end()


def _begin(words: list[str], log: Path, setup: Setup, pipe: Any) -> None:
    from crossdim_cli.main import main

    os.setsid()
    # started in the background of a script, the tests may have been told to ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    planning._SHARD_ITEMS = SHARD_ITEMS
    # what this one spawns need not load the main module of the tests
    vars(sys.modules["__main__"]).pop("__file__", None)
    if setup.obeys and os.geteuid() == 0:
        _obey_modes()
    if setup.cold:
        import numba

        numba.config.CACHE_DIR = str(setup.cold)
    if setup.file_bytes >= 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (setup.file_bytes, setup.file_bytes))
    if setup.at:
        _signal_at(setup, pipe)
    sys.argv = ["crossdim", *words]
    pipe.send(None)
    main()


def _obey_modes() -> None:
    """Give up CAP_DAC_OVERRIDE: may write anything."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: twice 32 bits
    libc = ctypes.CDLL(None, use_errno=True)
    libc.capget(header, sets)
    for number in range(3):
        sets[number] &= ~2
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def _signal_at(setup: Setup, pipe: Any) -> None:
    """Send the signal a moment after a call of a function."""
    module_name, _, name = setup.at.partition(":")
    module = importlib.import_module(module_name)
    owner: Any = module
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    function = getattr(owner, last)

    count = 0

    def send() -> None:
        pipe.send(time.monotonic())
        (os.killpg if setup.group else os.kill)(os.getpid(), setup.number)

    def called(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == setup.call:
            if setup.delay < 0:
                send()
            else:
                timer = threading.Timer(setup.delay, send)
                timer.daemon = True
                timer.start()
        return function(*args, **kwargs)

    setattr(owner, last, called)
