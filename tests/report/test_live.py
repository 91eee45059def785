"""`crossdim view` as a server: for this machine alone, with what was asked for, and soon gone."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from crossdim_cli.main import run
from stages.errors import UsageError
from stages.report.browse import browse
from stages.report.live import Viewer, free_port
from stages.shapes.spec import labels
from stages.store.workspace import Workspace
from tests.evaluate.made import World, put
from tests.report.made import IMAGE, cube, patience

SECONDS = 60


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    ids = ["chair/a", "chair/b", f"{IMAGE}/c"]
    arrays = {**cube().to_arrays(), **labels("", "", "", "")}
    put(tmp_path, "shapes/made", dict.fromkeys(ids, arrays))
    World(tmp_path, ids, views=3).see()
    return tmp_path


@pytest.fixture
def server(workspace: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    pytest.importorskip("viser", reason="the extra `viewer` is not installed")
    words = ["view", "views/test", "--port", "0", "--workspace", str(workspace)]
    process = subprocess.Popen(
        [sys.executable, "-m", "crossdim_cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(
        r"views/test, 3 items: open (http://127\.0\.0\.1:\d+)   \(Ctrl-C ends it\)\n", line
    )
    if match is None:
        process.kill()
        pytest.fail(line + "".join(process.communicate()))
    try:
        yield process, match[1]
    finally:
        process.kill()
        process.wait()


def test_it_serves_this_machine_alone_and_stops(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = server
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        assert answer.status == 200
        assert b"<html" in answer.read(10_000)
    family = psutil.Process(process.pid)
    listening = [c.laddr.ip for c in family.net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening
    assert set(listening) == {"127.0.0.1"}
    os.kill(process.pid, signal.SIGINT)
    began = time.monotonic()
    out, err = process.communicate(timeout=SECONDS)
    assert time.monotonic() - began < patience(5)
    assert (process.returncode, out, err) == (130, "", "stopped\n")


def test_what_is_chosen_is_shown(workspace: Path) -> None:
    pytest.importorskip("viser", reason="the extra `viewer` is not installed")
    viewer = Viewer(browse(Workspace(workspace), "views/test"), "127.0.0.1", 0)
    try:
        assert viewer._item.value in viewer._item.options
        viewer._category.value = "chair"
        assert tuple(viewer._item.options) == ("chair/a", "chair/b")
        viewer._item.value = "chair/b"
        viewer._view.value = 2
        deadline = time.monotonic() + SECONDS
        while "view 2 of 3" not in viewer._note.content and time.monotonic() < deadline:
            time.sleep(0.02)
        assert viewer._note.content.startswith("chair\\/b\\: view 2 of 3")
        assert len(viewer._pictures) == 3
        (mesh,) = [h for h in viewer._solids if "label" not in h.name]
        assert np.allclose(mesh.position, 0)
        viewer._category.value = IMAGE
        while "img" not in viewer._note.content and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "\\<img src\\=x" in viewer._note.content or "\\<img" in viewer._note.content
        assert not re.search(r"(?<!\\)<", viewer._note.content)
    finally:
        viewer.close()


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str], workspace: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1 port {port}"):
            free_port("127.0.0.1", port)
    with pytest.raises(UsageError, match=r"cannot listen on nowhere\.invalid"):
        free_port("nowhere.invalid", 0)
    assert free_port("127.0.0.1", 0) > 0


def test_without_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    assert run(["view", "views/test", "--workspace", str(workspace)]) == 4
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "pip install 'crossdim[viewer]'" in lines[1]
    path = workspace / "page.html"
    words = ["view", "views/test", "--html", str(path), "--json", "--workspace", str(workspace)]
    assert run(words) == 0  # a page needs no extra
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == path.stat().st_size
    assert path.read_text().count("<canvas") == 3
