"""The comparison on a page in a real browser, on wide and narrow windows."""

from __future__ import annotations

from pathlib import Path

from stages.report.report import report
from tests.report.chromium import Opened, left_the_page, opened, started
from tests.report.comparisons import Compared, specs


def test_a_comparison_fits_into_every_window(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with specs():
        made = Compared(tmp_path / "w")
        made.add_hostile()
        made.add("pose-aware (made)", {"Chamfer": 1.0}, system="pose-aware")
        path.write_bytes(report(made.workspace, 1, "t", lambda *_: None))
    with started(webgl=False) as browser:  # no solid is drawn in it
        for width in (1200, 360):
            _fits(opened(browser, path, viewport={"width": width, "height": 800}), path, width)


def _fits(found: Opened, path: Path, width: int) -> None:
    page = found.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # a long name is wrapped, the numbers beside it are seen without scrolling
    wide = "e => e.scrollWidth - e.clientWidth"
    assert max(page.locator(".parts .scroll").evaluate_all(f"a => a.map({wide})")) <= 1
    assert page.locator("td.best").all_inner_texts()[0] == "1.000"
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert (found.complaints, left_the_page(found, path)) == ([], [])
