"""Both renderers, where the machine has them."""

from __future__ import annotations

import pytest

from stages.render import backend


@pytest.fixture(params=["numba", "pyrender"])
def renderer(request: pytest.FixtureRequest) -> str:
    """The name of a renderer; a test that takes it runs with each."""
    if request.param == "pyrender" and not backend.gl_device():
        pytest.skip("OpenGL does not start through EGL on this machine")
    return request.param
