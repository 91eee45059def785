"""S9: what somebody planted in the output folder is not followed: links, pipes, temporaries.

Links in place of files that a command writes are replaced; what they lead to stays as it is.
A link in place of a whole folder is the user's own way to put data elsewhere, and is followed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from crossdim_cli.main import run
from stages.errors import CrossdimError, InputError
from stages.store.commit import TEMPORARY, commit_bytes, commit_stream, discard, sweep
from stages.store.fingerprint import digest
from stages.store.index import load_index, verify
from stages.store.manifest import MANIFEST, read_manifest
from stages.train.log import Metrics
from tests.store.cache import make, shards
from tests.train import toy

SECRET = b"not to be touched\n" * 9


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file outside of the workspace, which must stay as it is."""
    path = tmp_path / "outside" / "secret"
    path.parent.mkdir()
    path.write_bytes(SECRET)
    return path


def untouched(secret: Path) -> bool:
    """Whether the secret, and its folder, are as they were."""
    return secret.read_bytes() == SECRET and [*secret.parent.iterdir()] == [secret]


@pytest.mark.parametrize("kind", ["link", "hard link", "dangling"])
def test_a_commit_replaces_a_link(tmp_path: Path, secret: Path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "hard link":
        path.hardlink_to(secret)
    else:
        path.symlink_to(secret.parent / "new")
    commit_bytes(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert not path.is_symlink()
    assert untouched(secret)


def test_temporary_names_cannot_be_planted(
    tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that was guessed is neither followed nor written to."""
    monkeypatch.setattr("stages.store.commit.secrets.token_hex", lambda count: "0" * 2 * count)
    planted = tmp_path / f"{TEMPORARY}file-{os.getpid()}-00000000"
    for what in ("link", "dangling", "file"):
        planted.unlink(missing_ok=True)
        if what == "file":
            planted.write_bytes(SECRET)
        else:
            planted.symlink_to(secret if what == "link" else secret.parent / "new")
        for write in (
            lambda: commit_bytes(tmp_path / "file", b"ours"),
            lambda: commit_stream(tmp_path / "file", lambda sink: sink.write(b"ours") and None),
        ):
            with pytest.raises(CrossdimError, match="cannot write"):
                write()
            assert not (tmp_path / "file").exists()
            assert untouched(secret)


def test_sweeping_and_discarding_remove_links_alone(tmp_path: Path, secret: Path) -> None:
    old = tmp_path / f"{TEMPORARY}x-1-00000000"
    old.symlink_to(secret)
    past = time.time() - 3 * 24 * 3600
    os.utime(old, (past, past), follow_symlinks=False)
    assert sweep(tmp_path) == [old]
    link = tmp_path / "shard"
    link.symlink_to(secret)
    discard(link, unless=lambda path: False)
    assert not os.path.lexists(link)
    assert untouched(secret)


@pytest.mark.parametrize("what", ["manifest", "shard"])
def test_pipes_and_devices_are_not_read(tmp_path: Path, what: str) -> None:
    """Whoever opens a pipe waits for ever, and zeros never end."""
    artefact = make(tmp_path / "workspace", ["toy/a"])
    [shard] = shards(artefact)
    path = artefact.folder / MANIFEST if what == "manifest" else shard
    for device in (False, True):
        path.unlink()
        if device:
            path.symlink_to("/dev/zero")
        else:
            os.mkfifo(path)
        if what == "manifest":
            assert read_manifest(path) is None
            assert list(load_index(artefact.folder).entries) == ["toy/a"]
        else:
            assert shard.name in load_index(artefact.folder).damaged
            assert shard.name in verify(artefact.folder)
            with pytest.raises(InputError, match="missing"):
                artefact.refresh().read("toy/a")


def test_a_manifest_names_no_file_outside_of_its_folder(tmp_path: Path) -> None:
    artefact = make(tmp_path / "workspace", ["toy/a"])
    [shard] = shards(artefact)
    outside = tmp_path / "outside.h5"
    outside.write_bytes(shard.read_bytes())
    path = artefact.folder / MANIFEST
    honest = path.read_bytes()
    size = b'"bytes": ' + str(shard.stat().st_size).encode()
    assert size in honest
    for name in ("../../../outside.h5", str(outside), shard.name):
        body = honest.split(b"\n", 2)[2].replace(shard.name.encode(), name.encode())
        body = body.replace(size, b'"bytes": null')  # what a file that is not listed has
        path.write_bytes(b'{\n "digest": "' + digest(body).encode() + b'",\n' + body)
        assert read_manifest(path) is None
        entries = load_index(artefact.folder).entries
        assert {entry.shard for entry in entries.values()} == {shard.name}


@pytest.mark.parametrize("name", ["run.json", "metrics.csv", ".lock", "checkpoints/last.json"])
def test_files_of_a_run(tmp_path: Path, secret: Path, name: str) -> None:
    training = toy.new_run(tmp_path, "run", ("toy",))
    path = training.folder / name
    path.parent.mkdir(parents=True)
    path.symlink_to(secret)
    try:
        with training.exclusive():
            training.begin(toy.ToyParams(), 0)
            training.mark("finished")
            if name == "metrics.csv":
                metrics = Metrics(training.metrics, 0)
                metrics.append({"step": 1, "loss": 0.5})
                training.metrics.unlink()
                training.metrics.symlink_to(secret)  # between two rows
                metrics.append({"step": 2, "loss": 0.5})
    except CrossdimError as error:  # a lock that is a link, a row to a link: in two lines
        assert error.hint  # noqa: PT017
    assert untouched(secret)


def test_exports_and_commands(
    tmp_path: Path, secret: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--workspace", str(tmp_path / "workspace"), "-q"]
    folder = tmp_path / "workspace" / "shapes" / "generated"
    folder.mkdir(parents=True)
    for name in (MANIFEST, f"{TEMPORARY}{MANIFEST}-1-00000000"):
        (folder / name).symlink_to(secret)
    line = ["shapes", "generate", "--count", "1", "--category", "chair", "--jobs", "0"]
    assert run([*line, *place]) == 0
    out = tmp_path / "chair.obj"
    out.symlink_to(secret)
    assert run(["export", "mesh", str(out), "--item", "chair/chair-000000", *place]) in (0, 2, 3)
    run(["clean", *place])
    assert untouched(secret)
    capsys.readouterr()
