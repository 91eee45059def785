"""The demo on few shapes and steps: it ends well, and a second run finds everything fresh."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.cli.conftest import Crossdim


def test_demo_twice(crossdim: Crossdim, tmp_path: Path) -> None:
    line = "demo --count 8 --steps 3 --quiet"
    first = crossdim(line, tmp_path / "demo")
    assert first.code == 0
    assert "Table 4: projection IoU" in first.out
    assert "airplane/generated-" in first.out
    with Image.open(tmp_path / "demo" / "pictures.png") as picture:
        assert picture.width > 1000
    again = crossdim(line, tmp_path / "demo")
    assert again.code == 0
    made = [text for text in again.out.splitlines() if "made now" in text]
    assert len(made) == 3
    assert all(" 0 made now, 16 were fresh, 0 failed" in text for text in made)
    assert first.out.split("$ crossdim eval")[1] == again.out.split("$ crossdim eval")[1]
