"""R7: no flipped bit of a shard, manifest, checkpoint, record of a run, summary, set of viewpoints
or template goes unnoticed. R8: nor does a file that is cut off. What is noticed is named, no reader
crashes, none hangs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import flips

FLIPS, CUTS = 200, 60
KINDS = ("shard", "manifest", "weights", "optimiser", "checkpoint", "record")
KINDS += ("summary", "viewpoints", "template")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """A workspace, and its files by kind."""
    root = tmp_path_factory.mktemp("flips")
    return root, flips.make(root)


def test_flipped_bits_and_cut_files_are_noticed(made: tuple[Path, dict[str, Path]]) -> None:
    root, files = made
    assert tuple(files) == KINDS
    questions = [one for path in files.values() for one in flips.flips(path, FLIPS)]
    questions += [one for path in files.values() for one in flips.cuts(path, CUTS)]
    count = len(questions)
    assert count == len(KINDS) * (FLIPS + CUTS)
    found = flips.ask(root, questions)
    assert found == {"noticed": count}


def test_what_reads_without_looking_is_found(made: tuple[Path, dict[str, Path]]) -> None:
    """The counter-check: a file that nobody hashes is silent."""
    root, files = made
    assert flips._answer(root, files["record"], "") == "silent"
