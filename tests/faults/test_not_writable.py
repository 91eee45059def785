"""R6: where nothing can be written, a command says so before any computation."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.real import Ended, Setup, run

LINES = [
    "voxelize --res 24 --jobs 0",
    "render --views 2 --size 32 --viewpoints uniform --jobs 2",
    "viewpoints fit --from {data}/photos.csv",
    "train pose-aware --preset tiny --device cpu",
    "export mesh {locked}/mesh.obj --what shape",
    "plot viewpoints -o {locked}/picture.png",
    "merge shapes/generated -o {locked}/one.h5",
]
# none of these may be reached
COMPUTATIONS = "stages.engine.pools:run"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A workspace that anybody may read, and a folder in which nobody may write."""
    with tempfile.TemporaryDirectory() as name:  # the folders of pytest are closed to others
        place = Path(name)
        place.chmod(0o755)
        for line in (
            "shapes generate --count 4 --category chair --jobs 0 -q",
            "voxelize --res 32 --jobs 0 -q",
            "render --viewpoints uniform --views 2 --size 64 --supersample 1 --jobs 0 -q",
        ):
            assert run(line, place / "workspace", place / "log").code == 0
        (place / "locked").mkdir()
        head = "category,split,image,azimuth_deg,elevation_deg,inplane_deg,distance\n"
        (place / "photos.csv").write_text(head + "car,train,,10,20,0,4\n" * 9)
        for folder in [place / "locked", *place.glob("workspace/**/")]:
            folder.chmod(0o555)
        yield place
        for folder in [place / "locked", *place.glob("workspace/**/")]:
            folder.chmod(0o755)


def refused(line: str, root: Path, place: Path, log: Path) -> Ended:
    setup = Setup(at=COMPUTATIONS, obeys=True)
    line = line.format(data=place, locked=place / "locked")
    return run(f"{line} --quiet", root, log, setup)


def check(ended: Ended, *wanted: str) -> None:
    assert not ended.hit, ended
    assert ended.code == 1, ended
    message, _hint = ended.out.splitlines()
    assert message.startswith("error: ")
    assert all(word in message for word in wanted), ended


@pytest.mark.parametrize("line", LINES)
def test_a_folder_that_is_locked(place: Path, line: str, tmp_path: Path) -> None:
    before = sorted(place.rglob("*"))
    ended = refused(line, place / "workspace", place, tmp_path / "log")
    check(ended, "cannot write", "Permission denied")
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("line", LINES[:4])
def test_a_file_is_in_the_way(place: Path, line: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "workspace"
        shutil.copytree(place / "workspace", root)
        for path in [root, *root.rglob("*"), Path(name)]:
            path.chmod(0o777)
        blocked = {"voxelize": "voxels/res24", "render": "views/uniform2-32px"}
        target = root / blocked.get(line.split()[0], "runs" if "train" in line else "viewpoints")
        target.write_text("mine")
        check(refused(line, root, place, Path(name) / "log"), str(target))
        assert target.read_text() == "mine"
