"""S11: dependencies are at least as new as the releases that closed known holes.

What is declared (pyproject), what is pinned (constraints.txt) and what is installed here.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

REPOSITORY = Path(__file__).parents[2]

# package -> first release without the hole, and which hole
FLOORS = {
    "filelock": ("3.20.3", "older ones follow, and empty, a link planted as the lock file"),
    "h5py": ("3.12", "older ones bring HDF5 1.14.2 and its holes in damaged files"),
    "jinja2": ("3.1.6", "templates could leave the sandbox"),
    "pillow": ("12.1.1", "writes beyond the buffer on damaged PSD; earlier ones on DDS"),
    "ray": ("2.52", "no token: whoever reaches the port runs programs"),
    "safetensors": ("0.5", "headers are checked"),
    "torch": ("2.10", "weights_only=True could run code, or corrupt memory"),
    "trimesh": ("5.0", "older ones follow paths of textures out of the folder"),
}


def declared() -> dict[str, Requirement]:
    """The requirements of the project and of its extras, by name."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        lines += extra
    found = [Requirement(line) for line in lines]
    return {one.name.lower(): one for one in found}


def pinned() -> dict[str, str]:
    """The versions of constraints.txt, by name."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {name.strip().lower(): text.strip() for name, text in pairs}


@pytest.mark.parametrize("name", FLOORS)
def test_no_older_release_is_allowed(name: str) -> None:
    floor = Version(FLOORS[name][0])
    bounds = [s for s in declared()[name].specifier if s.operator in (">=", "==")]
    assert max(Version(one.version) for one in bounds) >= floor, FLOORS[name][1]
    assert Version(pinned()[name]) >= floor
    try:
        assert Version(version(name)) >= floor
    except PackageNotFoundError:  # an extra that this environment lacks
        assert name == "ray"


def test_pinned_versions_are_those_that_are_declared() -> None:
    versions = pinned()
    for name, requirement in declared().items():
        if name in versions:  # all but two extras that no test needs
            assert requirement.specifier.contains(versions[name]), name
    assert set(declared()) - set(versions) <= {"tensorboard", "viser"}


def test_floors_are_only_for_what_is_needed() -> None:
    assert set(FLOORS) <= set(declared())
