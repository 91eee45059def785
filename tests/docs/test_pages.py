"""The documentation: its code runs, its links lead somewhere, its tutorials are all listed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crossdim_cli.main import run
from stages.store.workspace import Workspace

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> list[str]:
    """The Python of a page."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.S)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    words = ["shapes", "generate", "--count", "2", "--category", "chair", "--jobs", "0", "-q"]
    assert run([*words, "--workspace", "crossdim-data"]) == 0
    assert run(["voxelize", "--jobs", "0", "-q", "--workspace", "crossdim-data"]) == 0
    return Workspace(Path("crossdim-data"))


def test_the_cache_is_read_by_plain_h5py_as_the_page_says(workspace: Workspace) -> None:
    first, second = blocks(ROOT / "docs" / "cache.md")
    assert "stages" not in first + second  # nothing of crossdim
    program = (
        f"{first}\n{second}\nassert not [m for m in __import__('sys').modules if m == 'stages']"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    voxels = workspace.artefact("voxels", "res32")
    for item in voxels.index.items():
        filled = int(voxels.read(item)["voxels"].sum())
        assert f"{item} {filled} [" in done.stdout
    last = done.stdout.splitlines()[-1]
    shape = workspace.artefact("shapes", "generated").read(last.split()[0])
    assert f"{shape['vertices'].shape} {shape['faces'].shape}" in last


def test_the_python_of_the_readme_runs(workspace: Workspace) -> None:
    (code,) = blocks(ROOT / "README.md")
    names: dict[str, object] = {}
    exec(code, names)
    assert names["grid"].shape == (32, 32, 32)  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" in target:
            continue
        path = Path(os.path.normpath(page.parent / target))
        assert path.exists(), target


def test_every_tutorial_is_listed_and_runs_in_ci() -> None:
    text = (ROOT / "docs" / "README.md").read_text()
    scripts = sorted((ROOT / "examples").glob("*.sh"))
    for path in scripts:
        assert f"../examples/{path.name}" in text, path.name
    assert "for example in examples/*.sh" in (ROOT / ".ci" / "run").read_text()


def test_every_page_is_listed() -> None:
    text = (ROOT / "docs" / "README.md").read_text() + (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert re.search(rf"\((docs/)?{page.name}\)", text) or page.name == "README.md", page.name
