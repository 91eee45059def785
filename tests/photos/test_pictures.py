"""Pictures of others: every form of pixel, and everything that is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.errors import InputError, ItemError
from stages.photos import backgrounds, pictures
from stages.photos.files import distinct_names, file_inside, walk_pictures
from stages.stage import Item
from stages.store.fingerprint import safe_name
from tests.photos.makers import UPRIGHT, encode, huge_png, oriented, write

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (30, 50, 3), dtype=np.uint8)
SMOOTH = np.stack(np.meshgrid(np.arange(50) * 5, np.arange(30) * 8, [90]), -1)[:, :, 0].astype("u1")


def read(tmp_path: Path, data: bytes, **more: object) -> np.ndarray:
    return np.asarray(pictures.read_picture(write(tmp_path / "x.jpg", data), **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, format: str) -> None:
    few = (NOISE // 128 * 255).astype(np.uint8)  # 8 colours: GIF keeps them, too
    more = {"lossless": True} if format == "WEBP" else {}
    assert np.array_equal(read(tmp_path, encode(few, format, **more)), few)


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_jpeg_of_every_colour_space(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(SMOOTH).convert(mode)
    wanted = np.asarray(image.convert("RGB")).astype(int)
    # a JPEG of a smooth picture at quality 95 is a few levels off
    assert np.abs(read(tmp_path, encode(image, "JPEG")) - wanted).max() <= 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, format: str) -> None:
    more = {"lossless": True} if format == "WEBP" else {}
    data = encode(SMOOTH, format, exif=oriented(orientation), **more)
    wanted = UPRIGHT[orientation](SMOOTH)
    got = read(tmp_path, data)
    assert got.shape == wanted.shape
    assert np.abs(got.astype(int) - wanted).max() <= (12 if format == "JPEG" else 0)
    if format != "TIFF":  # Pillow turns these itself
        stored = read(tmp_path, data, upright=False)
        assert stored.shape == SMOOTH.shape
        assert np.abs(stored.astype(int) - SMOOTH).max() <= 12


def test_transparency_shows_white(tmp_path: Path) -> None:
    alpha = np.full((30, 50, 1), 255, np.uint8)
    alpha[:, 10:20], alpha[:, 20:30] = 0, 51
    got = read(tmp_path, encode(np.concatenate([NOISE, alpha], -1)))
    assert np.array_equal(got[:, :10], NOISE[:, :10])
    assert (got[:, 10:20] == 255).all()
    # "over" by hand: a fifth of the colour, four fifths of white; integers round by up to one
    assert np.abs(got[:, 20:30] - (NOISE[:, 20:30] * 0.2 + 255 * 0.8)).max() <= 1
    grey_alpha = np.dstack([NOISE[..., 0], alpha[..., 0]])
    assert np.array_equal(
        read(tmp_path, encode(Image.fromarray(grey_alpha, "LA")))[:, 10:20], got[:, 10:20]
    )
    palette = Image.fromarray(NOISE).quantize(16)
    shown = np.asarray(palette.convert("RGB")).copy()
    shown[np.asarray(palette) == 3] = 255
    assert np.array_equal(read(tmp_path, encode(palette, transparency=3)), shown)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_become_eight(tmp_path: Path, format: str) -> None:
    deep = RNG.integers(0, 1 << 16, (30, 50)).astype(np.uint16)
    got = read(tmp_path, encode(deep, format))
    assert np.array_equal(got, np.repeat((deep // 256)[..., None], 3, -1))


def test_sixteen_bits_with_one_transparent_level(tmp_path: Path) -> None:
    deep = np.tile(np.arange(50, dtype=np.uint16) * 1000, (30, 1))
    got = read(tmp_path, encode(deep, transparency=7000))
    assert (got[:, 7] == 255).all()
    assert np.array_equal(got[:, 8, 0], deep[:, 8] // 256)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_of_several_pictures_counts(tmp_path: Path, format: str) -> None:
    first, second = (Image.fromarray(np.full((9, 9, 3), v, np.uint8)) for v in (255, 0))
    more = {"lossless": True} if format == "WEBP" else {}
    data = encode(first, format, save_all=True, append_images=[second], **more)
    assert (read(tmp_path, data) == 255).all()


def test_a_damaged_exif_says_nothing(tmp_path: Path) -> None:
    data = encode(SMOOTH, "JPEG", exif=b"Exif\0\0" + bytes(range(60)))
    assert read(tmp_path, data).shape == SMOOTH.shape
    assert read(tmp_path, encode(SMOOTH, "JPEG", exif=oriented(77))).shape == SMOOTH.shape


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


REFUSED = {
    "empty": (b"", "the picture is empty"),
    "text": (b"Dear all,\n", "damaged, or none of PNG, JPEG"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of PNG, JPEG"),
    "icon": (encode(NOISE, "ICO"), "none of PNG, JPEG"),
    "cut png": (_cut(encode(NOISE)), "the picture is damaged"),
    "cut jpeg": (_cut(encode(NOISE, "JPEG")), "the picture is damaged"),
    "cut webp": (_cut(encode(NOISE, "WEBP")), "damaged"),
    "cut gif": (_cut(encode(NOISE, "GIF")), "damaged"),
    "cut tiff": (_cut(encode(NOISE, "TIFF")), "damaged"),
    "large": (huge_png(9000, 9000), "9000x9000 pixels, at most"),
    "warned of": (huge_png(12_000, 12_000), "12000x12000 pixels, at most"),
    "bomb": (huge_png(60_000, 60_000), "more than 64000000 pixels"),
    "bomb of a line": (huge_png(2**31 - 1, 1), "pixels"),
    "no pixels": (huge_png(100, 100), "the picture is damaged"),
    "floats": (encode(Image.fromarray(np.ones((9, 9), np.float32)), "TIFF"), "floating-point"),
    "32 bits": (encode(Image.fromarray(np.full((9, 9), 1 << 20, np.int32)), "TIFF"), "16 bits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused(tmp_path: Path, name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(ItemError) as error:  # and nothing that Pillow warns of comes through
        read(tmp_path, data)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_flipped_bytes_are_refused_or_read_never_worse(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for format in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"):
        data = np.frombuffer(encode(SMOOTH, format), np.uint8)
        for _ in range(40):
            flipped = data.copy()
            places = rng.integers(0, len(data), 3)
            flipped[places] ^= rng.integers(1, 256, 3).astype(np.uint8)
            try:
                got = read(tmp_path, flipped.tobytes())
            except ItemError:
                refused += 1
                continue
            assert got.ndim == 3
            assert got.shape[2] == 3
    assert refused > 20


def background(root: Path, path: str, size: int) -> np.ndarray:
    item = Item("images/x", {}, {"root": str(root), "path": path})
    arrays = backgrounds.process(item, backgrounds.Params(size), np.random.default_rng(0))
    assert arrays["rgb"].shape == (size, size, 3)
    assert arrays["rgb"].dtype == np.uint8
    assert arrays["source"].item().decode() == path
    return arrays["rgb"]


@pytest.mark.parametrize("shape", [(60, 200), (200, 60), (100, 100), (7, 20)])
def test_backgrounds_are_the_middle_square(tmp_path: Path, shape: tuple[int, int]) -> None:
    height, width = shape
    y, x = (np.mgrid[:height, :width] + 0.5).astype(np.float64)
    pixels = np.stack([255 * x / width, 255 * y / height, 0 * x], -1).round().astype(np.uint8)
    write(tmp_path / "a.png", encode(pixels))
    got = background(tmp_path, "a.png", 32)
    # a ramp stays a ramp: pixel i of the square has its centre at (i + 0.5) / 32 of its side
    side, centres = min(shape), (np.arange(32) + 0.5) / 32
    wanted = [255 * ((n - side) / 2 + centres * side) / n for n in (width, height)]
    inner = slice(4, -4)  # at the edges of the picture the filter mirrors the ramp
    tolerance = 1.5 + 255 / side  # rounding, and half a pixel of a small picture
    assert np.abs(got[inner, inner, 0] - wanted[0][None, inner]).max() <= tolerance
    assert np.abs(got[inner, inner, 1] - wanted[1][inner, None]).max() <= tolerance


def test_large_jpegs_are_decoded_smaller_and_look_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 18, 3), dtype=np.uint8))
    image = small.resize((1800, 1200), Image.Resampling.BICUBIC)
    write(tmp_path / "a.jpg", encode(image, "JPEG"))
    write(tmp_path / "a.png", encode(image))
    difference = background(tmp_path, "a.jpg", 64).astype(int) - background(tmp_path, "a.png", 64)
    assert np.abs(difference).max() <= 6


def test_ids_of_backgrounds_are_stable_safe_and_distinct(tmp_path: Path) -> None:
    files = ("b/Ä ö.png", "b/x.png", "B/x.png", "b/x.JPG", "b.x.png", "deep/er/y.tif", "..z.png")
    for name in (*files, ".hidden.png", ".git/a.png", "notes.txt", f"{'long' * 50}.png"):
        write(tmp_path / name, encode(NOISE))
    (tmp_path / "loop").symlink_to(tmp_path)
    origin = {"kind": "backgrounds", "format": "folder", "path": str(tmp_path)}
    sources = backgrounds.list_sources(origin)
    paths = {s["path"]: item for item, s in sources.items()}
    hidden = {"..z.png"}  # begins with a dot
    assert set(paths) == {*files, f"{'long' * 50}.png"} - hidden
    assert paths["b.x.png"] == "images/b.x"  # the files of a folder come before its folders
    assert paths["deep/er/y.tif"] == "images/deep.er.y"
    assert len({item.casefold() for item in sources}) == len(sources)
    for item in sources:
        category, name = item.split("/")
        assert category == "images"
        assert safe_name(name, "id") == name
    write(tmp_path / "z.png", encode(NOISE))
    assert {**backgrounds.list_sources(origin), **sources} == backgrounds.list_sources(origin)


def test_names_are_distinct_whatever_is_wanted() -> None:
    wanted = {
        f"{n} {text}": text for n, text in enumerate(["a", "A", "a", "", "-", "..", "é", "/"] * 3)
    }
    wanted["tail"] = "x" * 300
    names = distinct_names(wanted)
    assert len({name.casefold() for name in names.values()}) == len(wanted)
    assert all(safe_name(name, "id") for name in names.values())
    assert names["0 a"] == "a"


def test_files_outside_of_the_folder_are_never_read(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret" / "s.png", encode(NOISE))
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "link.png").symlink_to(secret)
    (folder / "folder").symlink_to(secret.parent)
    for path in ("../secret/s.png", str(secret), "link.png", "folder/s.png"):
        with pytest.raises(ItemError, match="leads out of the data set's folder"):
            file_inside(folder, path)
    for path in ("gone.png", "a\0b", "x" * 5000, "", "\ud800.png"):
        with pytest.raises(ItemError, match="file is missing"):
            file_inside(folder, path)
    assert list(walk_pictures(folder)) == ["link.png"]  # and no folder that is a link
    assert file_inside(tmp_path, "secret/s.png") == secret.resolve()


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    origin = {"kind": "backgrounds", "format": "folder", "path": str(tmp_path)}
    with pytest.raises(InputError, match="holds no pictures"):
        backgrounds.list_sources(origin)
    with pytest.raises(InputError, match="is no folder"):
        backgrounds.list_sources({**origin, "path": str(tmp_path / "gone")})


def test_real_photos(shared_data: Path) -> None:
    origin = {"kind": "backgrounds", "format": "folder", "path": str(shared_data / "photos")}
    sources = backgrounds.list_sources(origin)
    assert len(sources) == 14
    for source in sources.values():
        got = background(shared_data / "photos", source["path"], 64)
        assert got.std() > 10
