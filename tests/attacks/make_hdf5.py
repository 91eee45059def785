"""Makers of HDF5 files (S2) that reach for other files, or claim to be what they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np


def _secret(folder: Path) -> Path:
    """Another HDF5 file, whose content must not come out."""
    path = folder / "secret.h5"
    with h5py.File(path, "w") as file:
        file["grid"] = np.full((1, 64), 42, np.uint8)
    return path


def external_link(file: h5py.File, folder: Path) -> None:
    file["grid"] = h5py.ExternalLink(str(_secret(folder)), "/grid")


def soft_link(file: h5py.File, folder: Path) -> None:
    file["out"] = h5py.ExternalLink(str(_secret(folder)), "/")
    file["grid"] = h5py.SoftLink("/out/grid")


def soft_link_inside(file: h5py.File, folder: Path) -> None:
    file["grid"] = h5py.SoftLink("/ids")


def external_group(file: h5py.File, folder: Path) -> None:
    file["points"] = h5py.ExternalLink(str(_secret(folder)), "/")


def dangling_link(file: h5py.File, folder: Path) -> None:
    file["grid"] = h5py.SoftLink("/nowhere")


def external_storage(file: h5py.File, folder: Path) -> None:
    (folder / "secret.bin").write_bytes(b"\x2a" * 64)
    file.create_dataset(
        "grid", (1, 64), np.uint8, external=[(str(folder / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
    )


def virtual_dataset(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((1, 64), np.uint8)
    layout[:] = h5py.VirtualSource(str(_secret(folder)), "grid", (1, 64))
    file.create_virtual_dataset("grid", layout)


def virtual_of_nothing(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((1, 64), np.uint8)
    layout[:] = h5py.VirtualSource(str(folder / "lost.h5"), "grid", (1, 64))
    file.create_virtual_dataset("grid", layout, fillvalue=7)


def contiguous(file: h5py.File, folder: Path) -> None:
    file["grid"] = np.zeros((1, 64), np.uint8)


def no_checksum(file: h5py.File, folder: Path) -> None:
    file.create_dataset("grid", data=np.zeros((1, 64), np.uint8), chunks=(1, 64))


def huge_chunk(file: h5py.File, folder: Path) -> None:
    side = 2**16 - 1
    file.create_dataset("grid", (1, side, side), "u2", chunks=(1, side, side), fletcher32=True)


def named_type(file: h5py.File, folder: Path) -> None:
    file["grid"] = np.dtype("u1")


def cycle(file: h5py.File, folder: Path) -> None:
    file.create_group("points")["000000"] = file["/"]  # a hard link, upwards


def compound(file: h5py.File, folder: Path) -> None:
    data = np.zeros((1, 4), [("a", "u1"), ("b", "f4")])
    file.create_dataset("grid", data=data, chunks=(1, 4), fletcher32=True)


def references(file: h5py.File, folder: Path) -> None:
    data = np.array([[file.ref]], h5py.ref_dtype)
    file.create_dataset("grid", data=data, chunks=(1, 1))


def long_strings(file: h5py.File, folder: Path) -> None:
    file.create_dataset("grid", data=["x" * 100], dtype=h5py.string_dtype(), chunks=(1,))


def long_attribute(file: h5py.File, folder: Path) -> None:
    honest(file)
    file["grid"].attrs["units"] = "of a length that varies"


def large_attribute(file: h5py.File, folder: Path) -> None:
    honest(file)
    file.attrs.create("note", np.zeros(8000, "S8"))
    file.attrs.create("more", np.zeros(1 << 17, np.uint8))


def holes(file: h5py.File, folder: Path) -> None:
    """Four billion items in no bytes at all: all of them would read as 7."""
    file.create_dataset("grid", (1 << 32, 64), "u1", chunks=(1, 64), fletcher32=True, fillvalue=7)


def hole(file: h5py.File, folder: Path) -> None:
    grid = file.create_dataset("grid", (1, 128), "u1", chunks=(1, 64), fletcher32=True)
    grid[0, :64] = 1


def honest(file: h5py.File) -> None:
    """What is read."""
    grid = file.create_dataset(
        "grid", data=np.zeros((1, 64), np.uint8), chunks=(1, 64), fletcher32=True
    )
    grid.attrs["item_shape"] = np.array([8, 8, 8])
    grid.attrs["packed"] = np.bytes_("big")


MAKERS: list[Callable[[h5py.File, Path], None]] = [
    external_link,
    soft_link,
    soft_link_inside,
    external_group,
    dangling_link,
    external_storage,
    virtual_dataset,
    virtual_of_nothing,
    contiguous,
    no_checksum,
    huge_chunk,
    named_type,
    cycle,
    compound,
    references,
    long_strings,
    long_attribute,
    large_attribute,
    holes,
    hole,
]


def hostile_shard(make: Callable[[h5py.File, Path], None], honest: Path, folder: Path) -> bytes:
    """The honest shard with `grid` (or `points`) put in by `make`."""
    path = folder / "hostile.h5"
    with h5py.File(honest, "r") as source, h5py.File(path, "w", libver="latest") as file:
        file.attrs.update(source.attrs)
        for name in source:
            if name not in ("grid", "points"):
                source.copy(source[name], file, name)
        make(file, folder)
    return path.read_bytes()
