"""S9: links planted in the workspace are replaced, never written through."""

from __future__ import annotations

import contextlib
from pathlib import Path

from stages.errors import CrossdimError
from stages.store.commit import commit_bytes
from stages.store.index import verify
from stages.train.run import create_run
from tests.engine import fake
from tests.faults.harness import snapshot

IDS = [f"toy/{number:02d}" for number in range(20)]


def test_a_commit_replaces_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    for name in ("link", "dangling"):
        commit_bytes(tmp_path / name, b"data")
        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_bytes() == b"data"
    assert (tmp_path / "secret").read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_planted_links_in_an_artefact(tmp_path: Path) -> None:
    """Every file of it a link to one of ours, its lock and temporaries, too."""
    fake.run(tmp_path / "alone", IDS)
    wanted = snapshot(fake.artefact_of(tmp_path / "alone").folder)
    folder = fake.artefact_of(tmp_path / "out").folder
    folder.mkdir(parents=True)
    secrets = []
    for name in (*wanted, ".manifest.lock", *(f".tmp-{name}" for name in wanted)):
        secret = tmp_path / "mine" / name.lstrip(".")
        secret.parent.mkdir(exist_ok=True)
        secret.write_text("mine")
        secrets.append(secret)
        (folder / name).symlink_to(secret)
    with contextlib.suppress(CrossdimError):  # refused for its lock: that is as good
        fake.run(tmp_path / "out", IDS)
    (folder / ".manifest.lock").unlink()
    fake.run(tmp_path / "out", IDS)
    assert [secret.read_text() for secret in secrets] == ["mine"] * len(secrets)
    assert snapshot(folder) == wanted
    assert verify(folder) == {}


def test_a_planted_lock_of_a_run(tmp_path: Path) -> None:
    from tests.train import toy

    run = create_run(tmp_path, "toy", "a", toy.new_run(tmp_path).about)  # type: ignore[arg-type]
    run.folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("mine")
    (run.folder / ".lock").symlink_to(tmp_path / "secret")
    with contextlib.suppress(CrossdimError, OSError), run.exclusive():
        pass
    assert (tmp_path / "secret").read_text() == "mine"
