"""S11: versions of libraries with known holes are neither allowed nor installed."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

REPOSITORY = Path(__file__).parents[2]
FLOORS = {
    "trimesh": ("5.0", "before it, textures were read from outside of the model's folder"),
    "torch": ("2.10", "CVE-2026-24747: memory corruption even with weights_only"),
    "pillow": ("11.3", "CVE-2025-48379: a write beyond a buffer"),
    "filelock": ("3.20.1", "CVE-2025-68146: a lock followed a link that was planted"),
    "safetensors": ("0.5", "offsets and header are checked"),
    "h5py": ("3.12", "HDF5 1.14.4 and its fixes of damaged files"),
    "ray": ("2.52", "authentication by token"),
}


@pytest.mark.parametrize("name", FLOORS)
def test_floors(name: str) -> None:
    floor, why = FLOORS[name]
    declared = [one for one in map(Requirement, _requirements()) if one.name.lower() == name]
    assert declared, name
    below = [str(one) for one in declared if Version(floor) > _least(one)]
    assert below == [], why
    assert Version(metadata.version(name)) >= Version(floor), why
    pinned = (REPOSITORY / "constraints.txt").read_text().lower().splitlines()
    (line,) = [line for line in pinned if line.startswith(f"{name}==")]
    assert Version(line.partition("==")[2].split(";")[0].split()[0]) >= Version(floor), why


def _requirements() -> list[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"].values()
    return [*project["dependencies"], *(one for extra in optional for one in extra)]


def _least(requirement: Requirement) -> Version:
    (least,) = [Version(one.version) for one in requirement.specifier if one.operator == ">="]
    return least
