"""Pages in a real browser: nothing leaves them, nothing is refused, solids turn as they should."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.geometry import cameras
from stages.report.page import Page, render
from stages.report.report import report
from stages.report.shown import Shown
from stages.report.solids import Solid, from_mesh, from_points
from tests.report.chromium import Opened, left_the_page, opened, started, wait_until
from tests.report.made import IMAGE, cube, hostile_workspace

LENS, DISTANCE = 5.0, 3.0  # those of viewer.js
PLACES = np.array([[0.4, 0, 0], [0, -0.4, 0], [0, 0, 0.4]])
COLOURS = np.array([[230, 0, 0], [0, 200, 0], [0, 0, 230]])
CANVAS = "canvas[data-solid='0']"


@pytest.fixture(scope="module", params=[True, False], ids=["webgl", "canvas"])
def browser(request: pytest.FixtureRequest) -> Iterator[tuple[Any, str]]:
    with started(webgl=request.param) as found:
        yield found, "webgl" if request.param else "canvas"


def marked() -> Solid:
    """Three small cubes on the axes +x, -y and +z, in red, green and blue."""
    parts = [from_mesh("", cube(0.08, place), colour) for place, colour in zip(PLACES, COLOURS)]
    vertices = np.concatenate([part.vertices for part in parts])
    faces = np.concatenate([part.faces + 8 * n for n, part in enumerate(parts)])
    return Solid("marks", vertices, faces, np.repeat(COLOURS, 12, 0).astype(np.uint8))


def page_of(path: Path, *solids: Solid) -> Path:
    shown = [Shown("marks", "", (), (solid,)) for solid in solids]
    known = {"title": "t", "unseen": [], "total": 1, "pictured": False, "note": ""}
    path.write_bytes(render("view.html", Page(), shown=shown, **known))
    return path


def pixels(found: Opened) -> np.ndarray:
    """(H, W, 3) what the canvas shows."""
    data = found.page.locator(CANVAS).screenshot()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def centres(image: np.ndarray) -> np.ndarray:
    """(3, 2) middles of what is red, green and blue, in pixels from the centre, x right, y down."""
    found = []
    for channel in range(3):
        others = [c for c in range(3) if c != channel]
        mine = image[..., channel] - image[..., others].max(-1) > 60
        assert mine.sum() > 20, channel
        rows, columns = np.nonzero(mine)
        found.append((columns.mean() + 0.5, rows.mean() + 0.5))
    return np.array(found) - np.array(image.shape[1::-1]) / 2


def expected(azimuth: float, elevation: float, image: np.ndarray) -> np.ndarray:
    """The same by the project's own cameras: x right, y down, z forward."""
    extrinsics = cameras.extrinsics(np.array([azimuth, elevation, 0, DISTANCE]))
    seen = PLACES @ extrinsics[:, :3].T + extrinsics[:, 3]
    return seen[:, :2] / seen[:, 2:] * LENS / 2 * min(image.shape[:2])


def refusals(found: Opened) -> int:
    """How often the policy of the page has refused something."""
    return sum("Content Security Policy" in text for text in found.complaints)


def test_solids_are_seen_as_by_the_cameras_of_the_project(
    browser: tuple[Any, str], tmp_path: Path
) -> None:
    path = page_of(tmp_path / "page.html", marked())
    found = opened(browser[0], path)
    assert found.page.evaluate("document.documentElement.dataset.renderer") == browser[1]
    canvas = found.page.locator(CANVAS)
    canvas.focus()
    first = pixels(found)
    # two pixels: half of one by rounding, and the side of a cube that is seen hides its middle
    assert np.abs(centres(first) - expected(-35, 25, first)).max() < 4
    for key, turn in (("ArrowRight", (-5, 25)), ("ArrowUp", (-5, 55)), ("ArrowLeft", (-35, 55))):
        for _ in range(3):
            canvas.press(key)
        found.page.wait_for_selector(f"{CANVAS}[data-drawn='{turn[0]},{turn[1]}']")
        now = pixels(found)
        assert np.abs(centres(now) - expected(*turn, now)).max() < 4
        assert (now != first).any()  # it has turned
    canvas.press("0")
    found.page.wait_for_selector(f"{CANVAS}[data-drawn='-35,25']")
    assert (pixels(found) == first).all()
    canvas.press("+")
    wait_until(found, lambda: bool((pixels(found) != first).any()))
    assert np.abs(centres(pixels(found)) - 1.15 * centres(first)).max() < 3
    assert found.complaints == []


def test_a_mouse_turns_and_points_are_drawn(browser: tuple[Any, str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = np.repeat(PLACES, 200, 0) + rng.uniform(-0.04, 0.04, (600, 3))
    cloud = from_points("marks", points, (230, 0, 0))
    found = opened(browser[0], page_of(tmp_path / "page.html", cloud))
    before = pixels(found)
    box = found.page.locator(CANVAS).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    found.page.mouse.move(x, y)
    found.page.mouse.down()
    found.page.mouse.move(x - 50, y + 20)
    found.page.mouse.up()
    found.page.wait_for_selector(f"{CANVAS}[data-drawn='-5,37']")
    after = pixels(found)
    assert (after != before).any()
    red = (after[..., 0] - after[..., 1] > 60).mean()
    assert 0.002 < red < 0.1  # three clusters, neither dust nor everything
    assert found.complaints == []


def test_a_report_of_hostile_names_is_quiet_and_keeps_to_itself(
    browser: tuple[Any, str], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(report(hostile_workspace(tmp_path / "w"), 8, IMAGE, lambda *_: None))
    for width, scheme in ((1200, "light"), (360, "dark")):
        found = opened(
            browser[0], path, viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        page = found.page
        # every picture and solid is there, however far down
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        drawn = "[...document.querySelectorAll('canvas')].every(c => c.dataset.drawn)"
        assert page.evaluate(drawn)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
        assert (np.median(shot) > 200) == (scheme == "light")
        assert len(np.unique(shot)) > 20
        assert left_the_page(found, path) == []
        assert found.complaints == []
        # the policy holds: what a name could bring in would not run, nor ask for anything
        page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
            " document.body.append(s);"
            " const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i); }"
        )
        wait_until(found, lambda found=found: refusals(found) >= 2)
        assert page.evaluate("window.ran") is None
