"""The fuzzer itself: honest files are read, a few damaged ones refused or read; cases repeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.errors import ItemError
from tests.attacks.fuzz import FINE, Reader, mutant
from tests.attacks.targets import TARGETS, Target, files_of

CASES = 3


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_cases(tmp_path: Path, name: str) -> None:
    reader = Reader(name, tmp_path)
    assert {reader.read(case) for case in range(CASES)} <= {*FINE}


def test_cases_repeat_and_differ(tmp_path: Path) -> None:
    TARGETS["manifest"].make(tmp_path)
    files = files_of(tmp_path)
    made = [mutant(files, "manifest", case) for case in range(50)]
    assert made == [mutant(files, "manifest", case) for case in range(50)]
    changed = [[name for name in files if one[name] != files[name]] for one in made]
    assert sum(map(bool, changed)) > 40
    assert {len(names) for names in changed} <= {0, 1, 2}


def test_what_is_none_of_ours_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(folder: Path) -> None:
        text = (folder / "a.txt").read_bytes()
        if len(text) > 3:
            raise KeyError("a bug")
        if not text.isascii():
            raise ItemError("refused")

    target = Target(lambda folder: (folder / "a.txt").write_text("abc") and None, read)
    monkeypatch.setitem(TARGETS, "toy", target)
    reader = Reader("toy", tmp_path)
    found = {reader.read(case).split(" at ")[0] for case in range(100)}
    assert found == {"read", "refused", "KeyError"}
