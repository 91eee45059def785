"""The figures of the rows of hostile files, S1 to S6, each file read as a command would read it.

Files are read in guarded processes (`stages.store.guarded`), which tell how long it took and by how
much their memory grew.
"""

from __future__ import annotations

import io
import pickle
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import CrossdimError, ItemError
from stages.geometry.mesh import Mesh
from stages.store.fingerprint import digest
from stages.store.guarded import Limits, Refused, call_each
from stages.store.shard import shard_name
from tests.attacks.make_hdf5 import MAKERS, hostile_shard
from tests.attacks.memory import growth
from tests.shapes.import_models import write

LIMITS = Limits(jobs=1, seconds=30.0, memory_gib=1.0)
FLIPS = 200
_KILLED = ("its process", "took longer")


@dataclass(frozen=True)
class Row:
    """What came of the files of one row."""

    name: str
    files: int
    refused: int
    foreign: int  # bytes of other files that came out
    died: int = 0  # processes that were lost, or had to be stopped
    more: str = ""
    seconds: float = 0.0  # the worst file
    grown: int = 0  # bytes of memory, the worst file
    must_refuse: bool = True


@dataclass(frozen=True)
class Told:
    """What reading one file came to, in the process that read it."""

    reason: str  # "" where it was read
    seconds: float
    grown: int  # bytes of memory
    foreign: int = 0
    content: str = ""  # a digest of what was read


def file_rows() -> list[Row]:
    """Rows S1 to S6."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        makers = (_pickles, _shards, _flips, _meshes, _textures, _images)
        for make in makers:
            (root / make.__name__).mkdir()
        return [make(root / make.__name__) for make in makers]


def _timed(read: Callable[[], int]) -> Told:
    """Read in this process; `read` returns how many foreign bytes came out."""
    reason, foreign, start = "", 0, time.perf_counter()

    def run() -> None:
        nonlocal reason, foreign
        try:
            foreign = read()
        except (ItemError, CrossdimError) as error:
            reason = str(error)

    grown = growth(run)
    return Told(reason, time.perf_counter() - start, grown, foreign)


def _row(name: str, results: Sequence[Told | Refused], more: str = "") -> Row:
    """A Refused that is no reason of ours is a process that was lost."""
    told = [one for one in results if isinstance(one, Told)]
    lost = [one for one in results if isinstance(one, Refused)]
    died = sum(one.reason.startswith(_KILLED) for one in lost)
    worst = max((one.seconds for one in told), default=0.0)
    grown = max((one.grown for one in told), default=0)
    text = f"worst {worst:.2f} s and {grown / (1 << 20):.0f} MiB more; {died} processes lost{more}"
    refused = sum(bool(one.reason) for one in told) + len(lost) - died
    return Row(
        name, len(results), refused, sum(one.foreign for one in told), died, text, worst, grown
    )


class Canary:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def _pickles(root: Path) -> Row:
    """S1: annotations and an optimiser's state that run something when they are loaded."""
    from stages.train import checkpoint
    from tests.train import test_checkpoint as forged

    canary = root / "canary"
    paths = [
        write(root / f"{protocol}.pkl", pickle.dumps({"a.jpg": Canary(canary)}, protocol))
        for protocol in range(6)
    ]
    results = call_each(_read_annotations, [str(path) for path in paths], LIMITS)
    checkpoint.save(root, forged.content(1), ["last"])
    forged.forge(root, forged.torch_bytes({0: {"exp_avg": Canary(canary)}}))

    def load() -> int:
        checkpoint.load(root, "last", "toy")
        return 0

    row = _row("S1 code in pickles and checkpoints", [*results, _timed(load)])
    fired = int(canary.exists())
    return replace(row, foreign=fired, more=f"{row.more}; {fired} canaries fired")


def _read_annotations(path: str) -> Told:
    from stages.viewpoints.readers import read_finegrained

    return _timed(lambda: len(read_finegrained(Path(path), "car")) * 0)


def _shards(root: Path) -> Row:
    """S2: shards that reach for other files, or claim to be what they are not."""
    from tests.store.cache import make, shards

    (honest,) = shards(make(root / "cache", ["toy/a"]))
    paths = []
    for maker in MAKERS:
        folder = root / maker.__name__
        folder.mkdir()
        data = hostile_shard(maker, honest, folder)
        paths.append(str(write(folder / shard_name(0, data), data)))
    secrets = {path: path.read_bytes() for path in root.rglob("secret*")}
    results = call_each(_read_shard, paths, LIMITS)
    changed = sum(path.read_bytes() != data for path, data in secrets.items())
    return _row("S2 HDF5 that reaches out, or bombs", results, f"; {changed} other files changed")


def _read_shard(path: str) -> Told:
    from stages.store.reader import read_content, read_row
    from stages.store.untrusted import open_readonly

    def read() -> int:
        content = read_content(Path(path))
        with open_readonly(Path(path), "shard") as file:
            arrays = [read_row(file, row, Path(path)) for row in range(len(content.ids))]
        return sum(int((a == 42).sum()) for one in arrays for a in one.values() if a.dtype == "u1")

    return _timed(read)


def _flips(root: Path) -> Row:
    """S3: a bit flipped in shards, and in MATLAB files: no process is lost, and nothing else is
    read than was written. (Of shards that is the digest's business, which is left aside here.)"""
    from tests.photos import makers
    from tests.store.cache import make, shards

    rng = random.Random(3)
    (honest,) = shards(make(root / "cache", ["toy/a"]))
    coords = np.random.default_rng(0).normal(100, 30, (2, 8, 3, 5))
    mat = makers.keypoint5(root / "mat", "table", {}, coords) / "table/coords.mat"
    results: list[Any] = []
    silent = 0
    for path, read in ((honest, _flipped_shard), (mat, _flipped_mat)):
        data, paths = path.read_bytes(), [str(path)]
        for number in range(FLIPS):
            place = rng.randrange(len(data))
            flipped = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)])
            name = root / f"flips/{number}{path.suffix}"
            paths.append(str(write(name, flipped + data[place + 1 :])))
        whole, *some = call_each(read, paths, LIMITS)
        right = ("", whole.content)  # refused, or as it was
        silent += sum(isinstance(one, Told) and one.content not in right for one in some)
        results += some
    row = _row("S3 flipped bits in HDF5 and MATLAB files", results)
    same = row.files - row.refused - row.died - silent
    text = f"{row.more}; {same} read as they were, {silent} as something else"
    return replace(row, must_refuse=False, more=text)


def _flipped_shard(path: str) -> Told:
    from stages.store.reader import read_content, read_row
    from stages.store.untrusted import open_readonly

    content = ""

    def read() -> int:
        nonlocal content
        head = read_content(Path(path))
        with open_readonly(Path(path), "shard") as file:
            rows = [read_row(file, row, Path(path)) for row in range(len(head.ids))]
        arrays = [a.tobytes() for row in rows for _, a in sorted(row.items())]
        content = digest(repr(head).encode() + b"".join(arrays))
        return 0

    return replace(_timed(read), content=content)


def _flipped_mat(path: str) -> Told:
    from stages.photos.layouts.keypoint5 import read_coords

    content = ""

    def read() -> int:
        nonlocal content
        content = digest(read_coords(path).tobytes())
        return 0

    return replace(_timed(read), content=content)


def _meshes(root: Path) -> Row:
    """S4: meshes that declare more than they hold, hold no numbers, or are something else."""
    from tests.attacks.make_meshes import HOSTILE

    paths = [str(write(root / name, data)) for name, (data, _) in HOSTILE.items()]
    honest = str(write(root / "honest.stl", _box()))  # first: it imports what all need
    _, *results = call_each(_read_mesh, [honest, *paths], LIMITS)
    return _row("S4 hostile meshes", results)


def _box() -> bytes:
    from tests.shapes import layouts

    return layouts.stl(layouts.posed("+z", "-y"))


def _read_mesh(path: str) -> Told:
    from stages.shapes.importing import scenes  # noqa: F401  (the time to import it is not counted)
    from stages.shapes.importing.read import read_model

    place = Path(path)
    return _timed(lambda: len(read_model({"root": str(place.parent), "path": place.name}, 512)) * 0)


def _textures(root: Path) -> Row:
    """S5: models whose textures, libraries or buffers lie elsewhere. A URL is looked for as a file,
    and is missing: that counts as refused where nothing of the secret is in the mesh."""
    from tests.attacks.make_textures import make

    folders = sorted((make(root) / "chair").iterdir(), key=lambda f: (f.name != "honest", f))
    # the honest one first: it imports what all need
    _, *results = call_each(_read_texture, [str(folder) for folder in folders], LIMITS)
    return _row("S5 textures outside of the folder", results)


def _read_texture(folder: str) -> Told:
    from stages.shapes.importing import scenes  # noqa: F401
    from stages.shapes.importing.read import read_model
    from tests.attacks.make_textures import SECRET
    from tests.attacks.test_textures import shows

    (path,) = (p for p in Path(folder).iterdir() if p.stem == "model")

    def read() -> int:
        mesh, missing = read_model({"root": folder, "path": path.name}, 512)
        leaked = SECRET.nbytes * shows(mesh, SECRET) + 4 * _from_secret(mesh)
        if not leaked and missing:
            raise ItemError(f"{missing[0]} is missing")
        return leaked

    return _timed(read)


def _from_secret(mesh: Mesh) -> int:
    return int(np.isclose(mesh.material_rgba, 0.1640).sum() + (mesh.vertices == 41.5).sum())


def _images(root: Path) -> Row:
    """S6: pictures that are bombs, of another format than their names, or cut short."""
    from tests.attacks.test_images import HOSTILE

    paths = [str(write(root / name, make())) for name, (make, _) in HOSTILE.items()]
    stream = io.BytesIO()
    from PIL import Image

    Image.new("RGB", (8, 8)).save(stream, "PNG")
    honest = str(write(root / "honest.png", stream.getvalue()))
    _, *results = call_each(_read_image, [honest, *paths], LIMITS)
    return _row("S6 image bombs", results)


def _read_image(path: str) -> Told:
    from stages.photos.pictures import read_picture

    return _timed(lambda: len(read_picture(Path(path)).size) * 0)
