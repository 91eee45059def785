"""S6: images that are bombs, of another format than they are named, or cut short."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.errors import ItemError
from stages.photos.pictures import MAX_PIXELS, read_picture
from stages.shapes.importing.images import open_image, to_rgba
from stages.store.guarded import Limits, Refused, call_each
from tests.attacks.memory import growth
from tests.attacks.names import active_terminal
from tests.photos.makers import encode, huge_png
from tests.shapes.import_models import write

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
LIMITS = Limits(jobs=1, seconds=30.0, memory_gib=1.0)


def bomb_png(side: int) -> bytes:
    """A PNG of a colour whose pixels are really there: about a thousandth of them in bytes."""
    rows = zlib.compress(bytes(side * (1 + 3 * side)), 1)
    head = huge_png(side, side)
    start = head.index(b"IDAT") - 4
    length = len(rows).to_bytes(4, "big")
    end = head[head.index(b"IEND") - 4 :]
    return (
        head[:start] + length + b"IDAT" + rows + zlib.crc32(b"IDAT" + rows).to_bytes(4, "big") + end
    )


def gif_of(width: int, height: int) -> bytes:
    """A GIF whose screen is said to be that large."""
    data = encode(PIXELS[..., 0], "GIF")
    return data[:6] + width.to_bytes(2, "little") + height.to_bytes(2, "little") + data[10:]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb.png": (lambda: bomb_png(8100), "8100x8100 pixels"),  # just above the limit
    "declared.png": (lambda: huge_png(60_000, 60_000), "more than"),
    "screen.gif": (lambda: gif_of(65_535, 65_535), "pixels"),
    "script.jpg": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of PNG"),
    "vector.png": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "none of PNG"),
    "cut.jpg": (lambda: encode(PIXELS, "JPEG")[:900], "damaged"),
    "cut.png": (lambda: encode(PIXELS)[:900], "damaged"),
    "cut.webp": (lambda: encode(PIXELS, "WEBP")[:900], "damaged"),
    "empty.png": (lambda: b"", "empty"),
}


def told(path: str) -> tuple[str, int]:
    """In a process of its own: why a picture was refused, and by how many bytes its peak grew."""
    reason = ""

    def read() -> None:
        nonlocal reason
        try:
            read_picture(Path(path))
        except ItemError as error:
            reason = str(error)

    grown = growth(read)
    return reason, grown


def test_hostile_pictures_are_refused_before_they_grow(tmp_path: Path) -> None:
    paths = {name: write(tmp_path / name, make()) for name, (make, _) in HOSTILE.items()}
    honest = write(tmp_path / "honest.png", encode(PIXELS))
    assert MAX_PIXELS < 8100**2
    assert paths["bomb.png"].stat().st_size < 2 << 20
    order = [*map(str, paths.values()), str(honest)]
    *results, (reason, _) = call_each(told, order, LIMITS)
    assert reason == ""
    for name, result in zip(paths, results):
        assert not isinstance(result, Refused), result
        reason, grown = result
        assert HOSTILE[name][1] in reason, name
        assert active_terminal(reason) == []
        assert grown < 250 << 20, name


@pytest.mark.parametrize("name", HOSTILE)
def test_as_textures_they_are_refused_too(name: str) -> None:
    data = HOSTILE[name][0]()
    with pytest.raises(ItemError, match=f"texture {name}"):
        to_rgba(open_image(data, name), 512, name)
