"""One HTML file that asks for nothing: pictures and solids inline, text escaped, scripts by hash.

The policy in the page lets only the script and the style run whose SHA-256 it names, pictures from
`data:`, and nothing else. Names of shapes and runs come from files of others: Jinja escapes them,
and what the script reads is JSON in which `<` is written as an escape.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from stages.export.comparison import Tile
from stages.report import solids
from stages.report.shown import Picture
from stages.report.solids import Solid

MOST_PIXELS = 256  # of a picture's longer side
_PNG_BYTES = 12_000  # a picture that takes more as PNG is written as JPEG
_QUALITY = 88
_ESCAPED = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_KEYS = {"training": "training", "validation": "validation"}


class Page:
    """What a template puts into a page; equal solids are sent once."""

    def __init__(self) -> None:
        self._solids: dict[str, int] = {}

    def image(self, picture: Picture | Tile) -> str:
        """The `data:` address of a picture, made smaller where it is large."""
        return data_url(picture.pixels)

    def solid(self, solid: Solid) -> int:
        """The number by which the script knows a solid."""
        text = json.dumps(solids.to_json(solids.simplified(solid)), allow_nan=False)
        return self._solids.setdefault(text, len(self._solids))

    def solids_json(self) -> Markup:
        """All solids that the page shows, as JSON that is harmless inside a script element."""
        text = f"[{','.join(self._solids)}]"
        for character, escaped in _ESCAPED.items():
            text = text.replace(character, escaped)
        return Markup(text)


def data_url(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 as a `data:` address: PNG where that is small, else JPEG."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    kind = "png"
    if buffer.tell() > _PNG_BYTES:
        buffer, kind = io.BytesIO(), "jpeg"
        image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def render(template: str, page: Page, **values: Any) -> bytes:
    """The bytes of a page."""
    folder = files("stages.report") / "templates"
    style = (folder / "style.css").read_text("utf-8")
    script = (folder / "viewer.js").read_text("utf-8")
    environment = Environment(
        loader=PackageLoader("stages.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["key"] = lambda kind: _KEYS.get(kind, "batch")
    text = environment.get_template(template).render(
        page=page,
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        version=version("crossdim"),
        date=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        **values,
    )
    return text.encode()


def _printable(value: Any) -> Any:
    """Text without what is no letter: escape codes, marks that turn the line around, surrogates.

    Names of others are shown as they are called else; such characters become U+FFFD, as browsers
    themselves do with some of them.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in value)


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy under which only this style and this script run."""

    def source(text: str) -> str:
        digest = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    parts = [
        "default-src 'none'",
        "img-src data:",
        f"style-src {source(style)}",
        f"script-src {source(script)}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(parts)
