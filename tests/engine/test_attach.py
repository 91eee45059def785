"""What `attach` gives reaches `process` wherever it runs, and is part of the fingerprint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages import registry
from stages.engine.pools import Limits
from stages.engine.runner import execute
from stages.engine.status import workspace_status
from stages.engine.work import Job, Work, perform
from stages.errors import InputError
from stages.store.commit import make_folder
from stages.store.workspace import Workspace
from tests.engine import attaching, fake
from tests.faults.harness import snapshot

IDS = [f"toy/{number:02d}" for number in range(20)]


def make_palette(root: Path, tag: str) -> None:
    """Two items of the fake stage under another name; `tag` stands for what they were made of."""
    folder = root / "palette" / "default"
    make_folder(folder)
    fake.run(root / "elsewhere", list(attaching.PALETTE), tag=tag)
    for path in folder.iterdir():
        path.unlink()
    for path in fake.artefact_of(root / "elsewhere").folder.glob("shard-*.h5"):
        (folder / path.name).write_bytes(path.read_bytes())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with the inputs and the palette."""
    fake.run(tmp_path, IDS)
    make_palette(tmp_path, "first")
    return tmp_path


def run(root: Path, limits: Limits) -> dict[str, bytes]:
    outcome = execute(attaching.plan_of(root), attaching.STAGE, attaching.Params(), limits)
    assert outcome.failures == {}
    return snapshot(attaching.artefact_of(root).folder)


def expected(root: Path, item: str) -> list[int]:
    """The sums of an item, read from the artefacts directly."""
    palette = Workspace(root).artefact("palette", "default")
    grids = [fake.artefact_of(root).read(item), *map(palette.read, attaching.PALETTE)]
    return [int(np.count_nonzero(arrays["grid"])) for arrays in grids]


@pytest.mark.parametrize("limits", [Limits(jobs=0), Limits(jobs=2)], ids=["here", "two jobs"])
def test_values_and_rows_reach_process(root: Path, limits: Limits) -> None:
    run(root, limits)
    artefact = attaching.artefact_of(root)
    for item in IDS:
        arrays = artefact.read(item)
        assert arrays["sum"].tolist() == expected(root, item)
        assert arrays["note"] == f"{item}+2".encode()
        assert artefact.entry(item).labels == {"note": f"{item}+2"}
    assert len({artefact.read(item)["sum"][0] for item in IDS}) > 1


def test_every_way_to_run_gives_the_same_bytes(root: Path) -> None:
    here = run(root, Limits(jobs=0))
    for path in attaching.artefact_of(root).folder.glob("*"):
        path.unlink()
    assert run(root, Limits(jobs=2)) == here


def test_what_is_attached_belongs_to_the_fingerprint(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.DERIVED, "attaching", attaching.STAGE)

    def status() -> tuple[int, dict[str, str]]:
        (found,) = [s for s in workspace_status(Workspace(root)) if s.name == "attaching/default"]
        assert found.note == ""
        assert found.is_fresh == (not found.state.stale)
        return len(found.state.fresh), dict(found.state.stale)

    run(root, Limits(jobs=0))
    assert status() == (20, {})
    before = {item: e.fingerprint for item, e in attaching.artefact_of(root).index.items().items()}
    assert len(set(before.values())) == 1  # the fake inputs differ by id alone, so do not these

    make_palette(root, "first")  # the same again: nothing has changed
    assert status() == (20, {})
    make_palette(root, "second")
    assert status() == (0, dict.fromkeys(IDS, "input changed"))
    assert attaching.plan_of(root).todo == 20

    run(root, Limits(jobs=0))
    assert status() == (20, {})
    after = {item: e.fingerprint for item, e in attaching.artefact_of(root).index.items().items()}
    assert not set(before.values()) & set(after.values())


def test_an_attached_row_of_another_item_is_an_error(root: Path) -> None:
    plan = attaching.plan_of(root)
    (work, *_) = plan.tasks[0].work
    path, row, _ = work.attached["palette"][0]
    assert row == 0
    wrong = Work(
        work.id,
        work.fingerprint,
        work.inputs,
        work.source,
        {"palette": ((path, 1 - row, attaching.PALETTE[0]),)},
    )
    with pytest.raises(InputError, match="row 1 is not toy/colour-a"):
        perform(Job.of(attaching.STAGE, attaching.Params(), 0), wrong)
