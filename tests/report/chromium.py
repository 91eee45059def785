"""A real Chromium, headless, that says everything a page does: requests, errors, violations."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
GL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
SECONDS = 120  # beside any other load
NO_GL = ("--disable-gpu", "--disable-3d-apis")


@contextlib.contextmanager
def started(webgl: bool) -> Iterator[Any]:
    """A browser, with WebGL computed in software or without any; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium is on the PATH (Debian: apt-get install chromium)")
    arguments = [*(GL if webgl else NO_GL), "--disable-dev-shm-usage"]
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=arguments, timeout=1000 * SECONDS
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Opened:
    """A page, and what it has asked for and complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def opened(browser: Any, path: Path, **context: Any) -> Opened:
    """The page of a file, ready; `context` as Playwright's `new_context` takes it."""
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(1000 * SECONDS)
    found = Opened(page)
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    return found


def wait_until(found: Opened, condition: Callable[[], bool]) -> None:
    """Let the page go on until that is so."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        found.page.wait_for_timeout(20)


def left_the_page(found: Opened, path: Path) -> list[str]:
    """Requests for anything but the file itself and what it holds."""
    inside = (path.as_uri(), "data:")
    return [url for url in found.requests if not url.startswith(inside)]
