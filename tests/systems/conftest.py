"""Torch on one thread: at toy sizes, more of them only wait for each other. A small workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from crossdim_cli.main import run as run_command


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def pictured_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six generated chairs and six tables with two sets of three stretched views, sphere maps at
    random poses and at those of the first set, and a spherical CNN. Tests must not change it;
    those that do work on a copy.
    """
    root = tmp_path_factory.mktemp("pictured") / "workspace"
    views = "render --size 128 --viewpoints so3 --views 3 --supersample 1 --backend numba --jobs 0"
    network = "train spherical-cnn --preset tiny --steps 2 --validate-every 2 --batch 4"
    for line in [
        "shapes generate --count 6 --category chair --category table --jobs 0",
        f"{views} --stretch 1.2 --name seen",
        f"{views} --stretch 1.1 --name other",
        "raycast --poses random --count 2 --jobs 0",
        "raycast --poses views --views seen --name seen --jobs 0",
        f"{network} --device cpu --threads 1",
    ]:
        assert run_command([*line.split(), "--workspace", str(root), "--quiet"]) == 0
    return root


@pytest.fixture
def crossdim(capsys: pytest.CaptureFixture[str]) -> Callable[[str, Path], tuple[int, str, str]]:
    """Runs `crossdim LINE` on a workspace: exit code, stdout and stderr."""

    def call(line: str, workspace: Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command([*line.split(), "--workspace", str(workspace), "--quiet"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
