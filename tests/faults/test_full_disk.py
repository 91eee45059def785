"""R5. A disk that fills up ends the command in order: two lines, exit 1, finished work kept."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest

from stages.store.index import verify
from tests.engine.fake import artefact_of, run
from tests.faults.command import REPOSITORY, command_line, environment, ids_of
from tests.faults.harness import snapshot

ITEMS = 24  # two buckets


def _run_limited(root: Path, size: int) -> subprocess.CompletedProcess[str]:
    """The command, none of whose files may grow beyond `size` bytes (Python ignores SIGXFSZ)."""
    return subprocess.run(
        command_line(root, ITEMS, jobs=0),
        cwd=REPOSITORY,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run on a disk with room."""
    root = tmp_path_factory.mktemp("room")
    run(root, ids_of(ITEMS))
    return snapshot(artefact_of(root).folder)


@pytest.mark.parametrize("limit", ["nothing", "a page", "all but a byte", "one of two", "no index"])
def test_full_disk(tmp_path: Path, undisturbed: dict[str, bytes], limit: str) -> None:
    sizes = {n: len(data) for n, data in undisturbed.items() if n.startswith("shard-")}
    first, second = sizes.values()
    assert first < second
    size = {
        "nothing": 0,
        "a page": 4096,
        "all but a byte": first - 1,
        "one of two": first,
        "no index": 0,
    }[limit]
    folder = artefact_of(tmp_path).folder
    if limit == "no index":  # the shards are there, only the manifest is to be written
        folder.mkdir(parents=True)
        for name in sizes:
            (folder / name).write_bytes(undisturbed[name])
    had = snapshot(folder)

    done = _run_limited(tmp_path, size)

    message, hint = done.stderr.splitlines()
    assert done.returncode == 1
    assert message.startswith(f"cannot write {folder}")
    assert message.endswith("File too large")
    assert "run the same command again" in hint
    assert done.stdout == ""
    left = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".manifest.lock"}
    assert had.items() <= left.items()
    fitting = {name: undisturbed[name] for name in sizes if sizes[name] <= size}
    assert {n: d for n, d in left.items() if n != "manifest.json"} == {**fitting, **had}
    assert verify(folder) == {}

    run(tmp_path, ids_of(ITEMS))
    assert snapshot(folder) == undisturbed


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "fake").write_text("in the way")
    done = _run_limited(tmp_path, resource.RLIM_INFINITY)
    assert done.returncode == 1
    assert "in the way" in done.stderr or "Not a directory" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert (tmp_path / "fake").read_text() == "in the way"
