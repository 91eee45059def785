"""Files of codes (`--codes`) that others made: read in a guarded process, or refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from stages.errors import UsageError
from stages.predict.networks import index_of

CODES = np.arange(6, dtype=np.float32).reshape(2, 3)
IDS = np.array([b"chair/a", b"chair/b"])


def honest(path: Path) -> Path:
    if path.suffix == ".npz":
        np.savez_compressed(path, shapes=IDS, voxel_code=CODES)
    else:
        with h5py.File(path, "w") as file:
            file["shapes"], file["voxel_code"] = IDS, CODES
    return path


def bomb(path: Path) -> None:
    """It declares two gigabytes of numbers."""
    head = {"descr": "<f4", "fortran_order": False, "shape": (2, 1 << 28)}
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, head)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("voxel_code.npy", array.getvalue() + bytes(1 << 20))
        ids = io.BytesIO()
        np.save(ids, IDS)
        file.writestr("shapes.npy", ids.getvalue())


def link(path: Path) -> None:
    honest(path.with_name("secret.h5"))
    with h5py.File(path, "w") as file:
        file["shapes"] = IDS
        file["voxel_code"] = h5py.ExternalLink("secret.h5", "voxel_code")


def elsewhere(path: Path) -> None:
    path.with_name("secret").write_bytes(CODES.tobytes())
    with h5py.File(path, "w") as file:
        file["shapes"] = IDS
        where = [(str(path.with_name("secret")), 0, CODES.nbytes)]
        file.create_dataset("voxel_code", CODES.shape, CODES.dtype, external=where)


def objects(path: Path) -> None:
    np.savez_compressed(path, shapes=IDS, voxel_code=np.array([{}, None], object))


@pytest.mark.parametrize("name", ["codes.npz", "codes.h5"])
def test_honest_codes_are_read(name: str, tmp_path: Path) -> None:
    ids, codes = index_of(honest(tmp_path / name), 3)
    assert ids == ("chair/a", "chair/b")
    assert np.array_equal(codes, CODES)
    with pytest.raises(UsageError, match="no codes of length 4"):
        index_of(tmp_path / name, 4)


@pytest.mark.parametrize(
    ("make", "name", "said"),
    [
        (bomb, "codes.npz", "needs more than 1 GiB of memory|Unable to allocate"),
        (link, "codes.h5", "voxel_code is a link"),
        (elsewhere, "codes.h5", "voxel_code is in another file"),
        (objects, "codes.npz", "Object arrays cannot be loaded"),
    ],
)
def test_others_are_refused(make, name: str, said: str, tmp_path: Path) -> None:
    make(tmp_path / name)
    with pytest.raises(UsageError, match=said) as error:
        index_of(tmp_path / name, 3)
    assert len(str(error.value).splitlines()) == 1
