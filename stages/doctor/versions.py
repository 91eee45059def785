"""The versions of Python and of packages, beside those that crossdim needs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from dataclasses import dataclass

_PYTHON = (3, 11)
_NEED = re.compile(r"^\s*([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*(?:>=\s*([0-9.]+))?[^;]*(?:;(.*))?$")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(frozen=True)
class Need:
    """A package that crossdim, or one of its extras, wants."""

    name: str
    least: str  # "" for any version
    extra: str  # "" for the base
    found: str  # "" where it is not installed

    @property
    def is_met(self) -> bool:
        """Whether it is there, and new enough."""
        return bool(self.found) and numbers(self.found) >= numbers(self.least)


def needs() -> list[Need]:
    """What the installed crossdim asks for, the base first; [] if its metadata is damaged."""
    found = []
    try:
        wanted = importlib.metadata.requires("crossdim") or []
    except Exception:  # a damaged installation is what the doctor is asked about
        return []
    for text in wanted:
        match = _NEED.match(text)
        if match:
            extra = _EXTRA.search(match[3] or "")
            here = installed(match[1])
            found.append(Need(match[1], match[2] or "", extra[1] if extra else "", here))
    return found


def installed(name: str) -> str:
    """The version of a distribution, "" where it is not installed or damaged."""
    try:
        return str(importlib.metadata.version(name) or "")
    except Exception:
        return ""


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 2.13.0+cpu is (2, 13, 0)."""
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def python_is_met() -> bool:
    """Whether this Python is new enough."""
    return sys.version_info[:2] >= _PYTHON


def python_least() -> str:
    """The oldest Python that will do."""
    return ".".join(map(str, _PYTHON))


def about() -> list[tuple[str, str]]:
    """What a report says of where it was made: versions, platform, processors."""
    packages = ("crossdim", "torch", "numpy", "h5py", "trimesh", "numba", "scikit-image")
    found = [(name, installed(name) or "not installed") for name in packages]
    return [
        *found,
        ("python", platform.python_version()),
        ("platform", platform.platform()),
        ("processors", str(os.cpu_count() or "unknown")),
    ]
