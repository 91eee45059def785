"""Fixtures that several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is loaded: threads that wait in loops make tests beside other load take minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real meshes and photos that lives beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("real inputs (../shared/data) are not beside this checkout")
    return SHARED
