"""Pictures of any kind become the same square, or are refused by name."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.errors import ItemError
from stages.predict.images import Look, look, look_at, pictures_in
from stages.store.guarded import Refused
from stages.weights.cards import Camera

SIZE, GREY, FILL = 64, 255, 0.6
ORIENTATION = 0x0112


@pytest.fixture
def cut_out() -> np.ndarray:
    """(90, 150, 4) uint8: a coloured block of 40 x 60 pixels, off centre, nothing around it."""
    rgba = np.zeros((90, 150, 4), np.uint8)
    rgba[20:60, 70:130] = (200, 60, 30, 255)
    rgba[20:40, 70:90] = (10, 90, 220, 255)  # so that no turn or mirror looks alike
    return rgba


def saved(path: Path, rgba: np.ndarray, mode: str = "RGBA", **more: object) -> Path:
    Image.fromarray(rgba).convert(mode).save(path, **more)
    return path


def seen(path: Path, crop: str = "auto", box: object = None, **more: object):  # type: ignore[no-untyped-def]
    wanted = {"size": SIZE, "background": GREY, "fill": FILL, **more}
    return look(Look(str(path), crop=crop, box=box, **wanted))  # type: ignore[arg-type]


def box_of(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask >= 128)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def test_the_object_fills_its_share_and_is_centred(tmp_path: Path, cut_out: np.ndarray) -> None:
    found = seen(saved(tmp_path / "a.png", cut_out))
    assert found.mask_from == "alpha"
    assert found.size == (150, 90)
    left, upper, right, lower = box_of(found.mask)
    assert right - left == pytest.approx(FILL * SIZE, abs=1)  # a pixel is rounded at each edge
    assert lower - upper == pytest.approx(FILL * SIZE * 40 / 60, abs=1)
    assert (left + right) / 2 == pytest.approx(SIZE / 2, abs=1)
    # the square in the picture: 60 pixels are 0.6 of it, around (100, 40)
    assert found.region == pytest.approx((50, -10, 150, 90))


def test_alpha_is_composed_on_the_background_of_the_training(
    tmp_path: Path, cut_out: np.ndarray
) -> None:
    half = cut_out.copy()
    half[..., 3] = half[..., 3] // 255 * 153
    for grey in (255, 127, 0):
        assert (seen(saved(tmp_path / "a.png", cut_out), background=grey).rgb[0, 0] == grey).all()
        rgb = seen(saved(tmp_path / "b.png", half), "none", size=150, background=grey).rgb
        # 0.6 of the colour, the rest of the grey; the picture lies 30 rows below the edge
        wanted = np.array([200, 60, 30]) * 0.6 + grey * 0.4
        assert np.abs(rgb[30 + 50, 120] - wanted).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_file_with_its_tag_is_the_same_picture(
    tmp_path: Path, cut_out: np.ndarray, orientation: int
) -> None:
    turn = {  # what has to be done to the pixels so that the tag brings them back
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(turn(cut_out))
    turned = seen(saved(tmp_path / "turned.png", stored, exif=exif.tobytes()))
    plain = seen(saved(tmp_path / "plain.png", cut_out))
    assert np.array_equal(turned.rgb, plain.rgb)
    assert np.array_equal(turned.mask, plain.mask)
    assert (turned.size, turned.region) == (plain.size, plain.region)


def test_formats_and_depths_are_the_same_picture(tmp_path: Path, cut_out: np.ndarray) -> None:
    plain = seen(saved(tmp_path / "a.png", cut_out))
    webp = seen(saved(tmp_path / "a.webp", cut_out, lossless=True, exact=True))
    named_wrongly = seen(saved(tmp_path / "a.jpg", cut_out, format="PNG"))
    # few colours: the palette holds them all, one entry transparent
    palette = Image.fromarray(cut_out).convert("RGB").quantize(8, dither=Image.Dither.NONE)
    clear = palette.getpixel((0, 0))
    palette.save(tmp_path / "p.png", transparency=clear)
    for other in (webp, named_wrongly, seen(tmp_path / "p.png")):
        assert np.array_equal(other.rgb, plain.rgb)
        assert np.array_equal(other.mask, plain.mask)


def test_grey_of_16_bits_is_not_clipped(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(128, dtype=np.uint16) * 512, (128, 1))
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    Image.fromarray((ramp >> 8).astype(np.uint8)).save(tmp_path / "flat.png")
    deep, flat = (seen(tmp_path / f"{name}.png", "none").rgb for name in ("deep", "flat"))
    assert np.array_equal(deep, flat)
    assert len(np.unique(deep)) > 60


def test_a_plain_background_is_a_mask_and_taken_off(tmp_path: Path, cut_out: np.ndarray) -> None:
    rgb = cut_out[..., :3].copy()
    rgb[cut_out[..., 3] == 0] = (30, 120, 60)
    found = seen(saved(tmp_path / "green.png", rgb, "RGB"))
    plain = seen(saved(tmp_path / "a.png", cut_out))
    assert found.mask_from == "plain background"
    assert found.region == plain.region
    # the filter mixes colours and alpha in another order along the edge; a pixel of it is left out
    inside = np.abs(found.rgb.astype(int) - plain.rgb).max(-1)
    assert np.percentile(inside, 90) <= 1
    assert (found.rgb[0, 0] == GREY).all()


def test_boxes_lie_as_far_below_the_middle_as_in_training(
    tmp_path: Path, cut_out: np.ndarray
) -> None:
    path = saved(tmp_path / "a.png", cut_out)
    low, plain = box_of(seen(path, down=0.125).mask), box_of(seen(path).mask)
    assert low - plain == pytest.approx([0, 8, 0, 8], abs=1)  # an eighth of 64 pixels


def test_without_a_mask_the_whole_frame_is_seen(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)
    path = saved(tmp_path / "noise.png", noise, "RGB")
    found = seen(path)
    assert (found.mask, found.mask_from) == (None, "")
    assert found.region == (0, -20, 80, 60)
    with pytest.raises(ItemError, match="no mask"):
        seen(path, "mask")


def test_a_whole_square_of_the_right_size_is_not_touched(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    assert np.array_equal(seen(saved(tmp_path / "n.png", noise, "RGB"), "none").rgb, noise)


def test_a_box_takes_the_same_share_as_a_mask(tmp_path: Path, cut_out: np.ndarray) -> None:
    path = saved(tmp_path / "a.png", cut_out)
    boxed = seen(path, box=(70.0, 20.0, 130.0, 60.0))
    assert np.array_equal(boxed.rgb, seen(path).rgb)
    with pytest.raises(ItemError, match="hold nothing of the box"):
        seen(path, box=(200.0, 0.0, 300.0, 50.0))


def test_a_large_picture_is_reduced_and_counted_as_it_is(
    tmp_path: Path, cut_out: np.ndarray
) -> None:
    large = np.kron(cut_out, np.ones((42, 42, 1), np.uint8))  # 6300 x 3780 pixels
    path = saved(tmp_path / "a.png", large, compress_level=1)
    small = seen(saved(tmp_path / "b.png", cut_out))
    for box in (None, tuple(42.0 * edge for edge in (70, 20, 130, 60))):
        found = seen(path, box=box)
        assert found.size == (6300, 3780)
        assert found.region == pytest.approx([42 * edge for edge in small.region])
        # one filter over blocks of pixels, one over pixels: along edges they differ a little
        assert np.abs(found.rgb.astype(int) - small.rgb).mean() < 2


def test_all_transparent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="transparent"):
        seen(saved(tmp_path / "a.png", np.zeros((9, 9, 4), np.uint8)))


def bomb() -> bytes:
    """A PNG of a few bytes that declares 60000 x 60000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_hostile_files_cost_themselves(tmp_path: Path, cut_out: np.ndarray) -> None:
    good = saved(tmp_path / "good.png", cut_out)
    whole = np.random.default_rng(0).integers(0, 255, (99, 99, 3), dtype=np.uint8)
    cut = saved(tmp_path / "whole.png", whole, "RGB").read_bytes()[:9000]
    files = {"bomb.png": bomb(), "cut.png": cut, "text.jpg": b"not a picture", "none.webp": b""}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / "gone.png", *(tmp_path / name for name in files), good]
    found = look_at(paths, Camera(SIZE, GREY, FILL), "auto", None)
    reasons = [one.reason if isinstance(one, Refused) else "" for one in found]
    for reason, part in zip(reasons, ("cannot be read", "pixels", "damaged", "none of", "empty")):
        assert part in reason, reasons
    assert reasons[-1] == ""
    assert found[-1].rgb.shape == (SIZE, SIZE, 3)  # type: ignore[union-attr]


def test_folders_are_walked_once(tmp_path: Path, cut_out: np.ndarray) -> None:
    (tmp_path / "in").mkdir()
    first = saved(tmp_path / "b.png", cut_out)
    second = saved(tmp_path / "in" / "a.webp", cut_out)
    (tmp_path / "notes.txt").write_text("x")
    assert pictures_in([tmp_path, first]) == [first, second]
