"""R4, the last resort: what does not end in order after a signal is ended with its processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.processes import outliving, patience

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
PRELUDE = """
import ctypes, os, signal, subprocess, sys, time
from crossdim_cli import signals
signal.signal(signal.SIGINT, signal.default_int_handler)
signals.listen()
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", deaf])
"""
SWALLOWED = """
print("ready", flush=True)
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""
# a read that begins anew after a signal: no Python runs until it ends
WITHIN_C = """
for number in (signal.SIGINT, signal.SIGTERM):
    signal.siginterrupt(number, False)
print("ready", flush=True)
ctypes.CDLL(None).read(os.pipe()[0], ctypes.create_string_buffer(1), 1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("body", [SWALLOWED, WITHIN_C], ids=["swallowed", "within C"])
def test_what_does_not_end_is_ended(body: str, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + body],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)  # until it is where it will not end
    process.send_signal(number)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert time.monotonic() - sent < patience()
    assert errors.splitlines()[-1] == "run the same command again to go on"
    assert outliving(process.pid, 2.0) == []


def test_what_handles_signals_itself_is_left_alone() -> None:
    body = """
signal.signal(signal.SIGTERM, lambda number, frame: None)
signals.GRACE_SECONDS = 0.1
print("ready", flush=True)
stop = time.monotonic() + 1
while time.monotonic() < stop:
    time.sleep(0.1)
child.kill()
child.wait()
print("saved", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + body], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "saved\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_has_ended_but_does_not_go_is_ended(number: signal.Signals) -> None:
    """All is said and done, but a thread keeps the process: the exit code is that of the end."""
    body = """
import threading
signals.GRACE_SECONDS = 0.1
try:
    print("ready", flush=True)
    time.sleep(60)
except BaseException:
    pass
threading.Thread(target=time.sleep, args=(60,)).start()
signals.leave_with(7)
sys.exit(7)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + body], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 7
