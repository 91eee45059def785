"""Names that are markup, code, escape codes or paths wherever they are shown or kept (S7, S8).

`NAMES` are what a file of others may call a shape, a category, a keypoint, a licence or a picture.
Whoever shows such a name, in HTML, on a terminal, in a table or a log, can test against all of
them: nothing of them may be active there (`active_html`, `active_terminal`, `active_cell`).
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

# Markup and scripts.
HTML = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "javascript:alert(1)",
    "<!--",
    "]]><script>alert(1)</script>",
    "<style>*{display:none}</style>",
    "<iframe src=//example.com>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028alert(1)\u2029",
)
# Escape codes, rich's markup, and letters that turn the line around.
TERMINAL = (
    "[/chair]",
    "[bold red]chair[/bold red]",
    "[link=https://example.com]chair[/link]",
    "\x1b[2J\x1b[1;1Hchair",
    "\x1b]0;title\x07chair",
    "\x1b]8;;https://example.com\x1b\\chair\x1b]8;;\x1b\\",
    "\x9b31mchair",
    "chair\rtable",
    "chair\ntable",
    "chair\x08\x08\x08\x08\x08table",
    "chair\x00table",
    "\u202eriahc\u202c",
    "cha\u200bir",
)
# Formulas of spreadsheets.
CELLS = (
    "=cmd|' /C calc'!A1",
    '=HYPERLINK("https://example.com")',
    "+1+1",
    "-1+1",
    "@SUM(1,1)",
    "\t=1+1",
    "\r=1+1",
    'chair",="1"',
)
# Paths.
PATHS = (
    "",
    ".",
    "..",
    "../chair",
    "../../etc/passwd",
    "/etc/passwd",
    "chair/../../table",
    "chair//table",
    "chair/",
    "\\\\server\\chair",
    "C:\\chair",
    "..\\chair",
    "-rf",
    ".tmp-shard",
    "~",
    "$HOME",
    "`id`",
    "chair;id",
    "a" * 300,
    "CON",
    "nul.txt",
    "COM1",
    "chair.",
    "chair ",
    " chair",
    "cha:ir",
    "ch\u00e4ir",
    "cha\u0308ir",
    "\ud800",
)
NAMES = (*HTML, *TERMINAL, *CELLS, *PATHS)

_ESCAPES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


# Attributes that hold an address, which is followed, loaded or run.
_ADDRESSES = ("src", "href", "action", "formaction", "data", "poster", "srcset", "xlink:href")


class _Active(HTMLParser):
    """Collects what a browser would run or load."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "base", "form"):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            scheme = urlsplit((value or "").strip()).scheme.lower() if name in _ADDRESSES else ""
            if name.startswith("on") or scheme in ("javascript", "vbscript", "http", "https"):
                self.found.append(f"<{tag} {name}={value!r}>")


def active_html(page: str) -> list[str]:
    """What of a page would run, or be loaded from elsewhere: scripts, handlers, frames, links."""
    parser = _Active()
    parser.feed(page)
    parser.close()
    return parser.found


def active_terminal(text: str) -> list[str]:
    """The characters of a text that a terminal obeys instead of showing; newline and tab are not
    among them."""
    return _ESCAPES.findall(text)


def active_cell(value: str) -> bool:
    """Whether a spreadsheet would take the value of a cell for a formula."""
    return value[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(value)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
