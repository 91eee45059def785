"""Lines of progress where there is no terminal: rates and times left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crossdim_cli import output
from crossdim_cli.output import Output


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_rate_and_time_left(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with Output().progress("make") as tracker:
        clock(1)
        tracker(0, 100)
        clock(40)
        tracker(41, 100)  # 41 in the 41 s since it began
        clock(59)
        tracker(100, 100, "done")
    assert (
        capsys.readouterr().err == "make 41/100 41.0% 1/s eta 59s\nmake 100/100 100.0% 1/s done\n"
    )


def test_no_rate_of_one_report(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with Output().progress("predict") as tracker:
        clock(3)
        tracker(1, 1)
    assert capsys.readouterr().err == "predict 1/1 100.0%\n"


def test_the_next_of_several_counts_has_its_own_rate(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with Output().progress("compare") as tracker:
        clock(1000)
        tracker(18, 18, "first")
        capsys.readouterr()
        tracker(0, 18, "second")
        clock(40)
        tracker(10, 18, "second")  # 10 in 40 s, whatever the first has taken
    assert capsys.readouterr().err == "compare 10/18 55.6% 0.25/s eta 32s second\n"
