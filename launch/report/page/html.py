"""
A page as one file: data, programs and looks in it, and nothing fetched from anywhere.

What comes from outside, formulas, names of files, comments, is data: it is in a block of JSON that
no browser runs, and the page's program shows it as text. Beyond that the page carries a policy that
lets run only the programs whose digests it names.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
from pathlib import Path
from typing import TYPE_CHECKING

from nnp.storage.files import write_atomically

if TYPE_CHECKING:
    from launch.report.page.content import Page

#: Name of the page in a campaign's folder.
PAGE_FILE = "report.html"
ASSETS = Path(__file__).parent / "assets"
#: Programs in the order in which they run; those of others are as they were published.
PROGRAMS = (
    "vendor/3Dmol-2.5.5.min.js",
    "vendor/plotly-basic-4.1.1.min.js",
    *("elements.js", "crystals.js", "viewer.js", "table.js", "powder.js", "charts.js", "page.js"),
)
#: Licences of the programs of others, which go with them.
LICENCES = ("vendor/3Dmol-2.5.5.LICENSE", "vendor/plotly-basic-4.1.1.LICENSE")


def write_page(page: Page, path: Path) -> Path:
    """
    Write a page, whole or not at all.

    Parameters
    ----------
    page : Page
    path : Path
        Of the file.

    Returns
    -------
    Path
        The same.
    """
    write_atomically(path, render(page))
    return path


def render(page: Page) -> str:
    """
    Write a page as HTML.

    Parameters
    ----------
    page : Page
    """
    programs = [_program(name) for name in PROGRAMS]
    digests = " ".join(f"'sha256-{_digest(program)}'" for program in programs)
    policy = (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    licences = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in LICENCES)
    parts = {
        "title": html.escape(page.title),
        "policy": html.escape(policy),
        "style": (ASSETS / "page.css").read_text(encoding="utf-8"),
        "data": as_json(page),
        "licences": html.escape(licences),
        "programs": "\n".join(f"<script>{program}</script>" for program in programs),
    }
    text = (ASSETS / "page.html").read_text(encoding="utf-8")
    before, *pieces = text.split("{{")
    filled = [before]
    for piece in pieces:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)


def as_json(page: Page) -> str:
    """
    Write a page's content so that it can stand in a script element and ends nothing there.

    Parameters
    ----------
    page : Page
    """
    text = json.dumps(page.as_dict(), separators=(",", ":"), allow_nan=False)
    return text.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"})


@functools.cache
def _program(name: str) -> str:
    # a browser reads other ends of lines as this one, before it takes the digest
    return (ASSETS / name).read_text(encoding="utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _digest(program: str) -> str:
    return base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
