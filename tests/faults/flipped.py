"""`python -m tests.faults.flipped ROOT`: reads a shard with one bit flipped, again and again.

A process of its own, for what HDF5 does to a damaged file is not known beforehand. Each line of
stdin is the number of a bit of the shard; the answer is `error`, `same` or `silent`, and whether
`verify` noticed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from stages.errors import InputError
from stages.store.index import verify
from stages.store.reader import read_content
from tests.engine import fake
from tests.store.cache import read_all, same, shards


def main(root: Path) -> None:
    """Answer until stdin ends."""
    artefact = fake.artefact_of(root)
    (path,) = shards(artefact)
    data, arrays, content = path.read_bytes(), read_all(artefact), read_content(path)
    for line in sys.stdin:
        place, bit = divmod(int(line), 8)
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :])
        try:  # with the manifest, which knows lengths only: what notices is the file itself
            equal = same(read_all(artefact), arrays) and read_content(path) == content
            outcome = "same" if equal else "silent"
        except InputError as error:
            outcome = "error" if path.name in str(error) else "unnamed"
        print(outcome, "noticed" if path.name in verify(artefact.folder) else "missed", flush=True)
    path.write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
