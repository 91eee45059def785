"""Torch on one thread, and worlds whose systems give known answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.evaluate import answers, clouds
from tests.evaluate.made import World

Answering = Callable[[Any], None]


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def few_points() -> Iterator[None]:
    """A tenth of the points that shapes are measured by: the midpoints take seconds a shape."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clouds, "DENSE", 10_000)
        yield


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three airplanes and two chairs, four views each, with maps of their meshes."""
    made = World(tmp_path, ["airplane/a", "airplane/b", "airplane/c", "chair/d", "chair/e"])
    made.see()
    made.cast()
    return made


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Lets protocols load this system instead of the weights of a run."""

    def use(trained: Any) -> None:
        answers.network.cache_clear()
        monkeypatch.setattr(answers, "load_model", lambda *_, **__: trained)

    return use
