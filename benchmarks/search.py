"""Exact search in codes by a matrix product, beside an index library, up to a million codes.

    pip install faiss-cpu      # for the two rows of faiss; left out without it
    python -m benchmarks.search

Codes of 128 numbers of N pictures, 100 of each object: a normal centre with a third as much noise.
100 queries, other pictures of these objects, ask for the 10 nearest; all at once, and one alone:

- product: `stages.evaluate.search.nearest`, exact;
- faiss flat: IndexFlatL2, exact;
- faiss IVF: IndexIVFFlat of 2 sqrt(N) cells, trained on 40 codes a cell, the 16 nearest cells
  searched; building it is in `build_s`, and `recall` is the share of the true 10 that it finds.

Milliseconds of CPU time a query on one thread, best of the repeats. Writes benchmarks/search.csv.
"""

from __future__ import annotations

import csv
import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from stages.evaluate.search import nearest

ROOT = Path(__file__).resolve().parents[1]
SIZES = (10_000, 100_000, 1_000_000)
LENGTH, QUERIES, COUNT, EACH, REPEATS = 128, 100, 10, 100, 3
Search = Callable[[np.ndarray], np.ndarray]


def pictures(centres: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A code for each centre."""
    return centres + rng.normal(0, 1 / 3, centres.shape).astype(np.float32)


def product(codes: np.ndarray) -> Search:
    return lambda queries: nearest(queries, codes, COUNT)


def flat(codes: np.ndarray) -> Search:
    import faiss

    index = faiss.IndexFlatL2(LENGTH)
    index.add(codes)
    return lambda queries: index.search(queries, COUNT)[1]


def inverted(codes: np.ndarray) -> Search:
    import faiss

    cells = 2 * round(len(codes) ** 0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(LENGTH), LENGTH, cells)
    index.train(codes[np.random.default_rng(0).permutation(len(codes))[: 40 * cells]])
    index.add(codes)
    index.nprobe = 16
    return lambda queries: index.search(queries, COUNT)[1]


def best(work: Callable[[], Any], repeats: int = REPEATS) -> tuple[Any, float]:
    """The result, and the least CPU seconds."""
    least, result = np.inf, None
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        least = min(least, time.process_time() - start)
    return result, least


def rows() -> Iterator[dict[str, object]]:
    """The table, row by row."""
    methods: dict[str, Callable[[np.ndarray], Search]] = {"product": product}
    if importlib.util.find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(1)
        methods |= {"faiss flat": flat, "faiss IVF": inverted}
    for size in SIZES:
        rng = np.random.default_rng(size)
        centres = rng.normal(size=(size // EACH, LENGTH)).astype(np.float32)
        codes = pictures(centres.repeat(EACH, 0), rng)
        queries = pictures(centres[rng.permutation(len(centres))[:QUERIES]], rng)
        truth: np.ndarray = np.empty(0)
        for name, make in methods.items():
            search, built = best(lambda make=make, codes=codes: make(codes), 1)
            found, together = best(lambda search=search, queries=queries: search(queries))
            _, alone = best(lambda search=search, queries=queries: search(queries[:1]))
            truth = found if name == "product" else truth
            hits = [len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist())]
            yield {
                "codes": size,
                "method": name,
                "build_s": f"{built:.2f}",
                "together_ms": f"{1000 * together / len(queries):.3f}",
                "alone_ms": f"{1000 * alone:.3f}",
                "recall": f"{np.mean(hits) / COUNT:.3f}",
            }


def main() -> None:
    """Measures and writes the table."""
    table = []
    with threadpool_limits(1):
        for row in rows():
            table.append(row)
            print(*(f"{value!s:>14}" for value in row.values()), flush=True)
    with (ROOT / "benchmarks" / "search.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
