"""The page's last lines: privacy, licences, source and the lesson."""

import html
import os
import re
from importlib import metadata
from pathlib import Path

from page.options import Options
from page.photo_texts import privacy

LESSON = "?go=lesson-1"
_LINK = re.compile(r"\[([^\]]+)\]\((https://[^)\s]+)\)")
_SPACES = "https://huggingface.co/spaces"


def footer(options: Options, examples: Path) -> str:
    """Return the footer's HTML.

    Args:
        options: The page's settings: where a photo goes, and for how long, depends on them.
        examples: The folder of the example photos; its `CREDITS.md` names authors and licences.
    """
    return (
        '<footer class="pw-footer">'
        f'<a href="{LESSON}">The lesson</a>'
        f"{_details('Privacy', _privacy(options))}"
        f"{_details('Licences', _licences(examples))}"
        f"{_details('Source', _source())}"
        "</footer>"
    )


def credits(examples: Path) -> list[tuple[str, str]]:
    """Return each example photo with its author and licence, as `CREDITS.md` has them.

    Args:
        examples: The folder of the example photos.

    Returns:
        (file, author and licence in Markdown) in the order of the table; nothing without the file.
    """
    path = examples / "CREDITS.md"
    if not path.is_file():
        return []
    rows = (line.split("|") for line in path.read_text(encoding="utf-8").splitlines())
    cells = ([cell.strip() for cell in row[1:4]] for row in rows if len(row) > 4)
    return [(name.strip("`"), owner) for name, _, owner in cells if name.startswith("`")]


def _details(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary><div>{text}</div></details>"


def _privacy(options: Options) -> str:
    told = [
        privacy(options.keep_minutes, options.shared),
        "Camera pictures are labelled in memory and written nowhere.",
        "There is no account, no advertising and no counting of visitors. The log has no names of "
        "photos and, unless the owner asks for everything, no addresses of visitors.",
        "Results are JPEG and PNG files without place, date or camera.",
    ]
    return "".join(f"<p>{html.escape(text)}</p>" for text in told)


def _licences(examples: Path) -> str:
    rows = "".join(
        f"<li>{html.escape(file)}: {_linked(owner)}</li>" for file, owner in credits(examples)
    )
    return (
        f"<p>The example photos:</p><ul>{rows}</ul>"
        "<p>The built-in model was trained on photos with terms of their own, some of them for "
        "research only; larger models have torchvision’s weights (BSD 3-Clause). The page is made "
        "with Gradio (Apache 2.0) and PyTorch (BSD 3-Clause).</p>"
    )


def _source() -> str:
    space = os.environ.get("SPACE_ID", "")
    if re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", space):
        address = f"{_SPACES}/{space}/tree/main"
        return f'<p><a href="{address}" rel="noopener">The source of this page</a></p>'
    return (
        f"<p>Pixelwise {html.escape(_version())}: the Python packages <code>segmentation</code>, "
        "<code>page</code> and <code>viewer</code> on the computer that runs this page. Whoever "
        "runs it has the source.</p>"
    )


def _version() -> str:
    try:
        return metadata.version("pixelwise")
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return ""


def _linked(text: str) -> str:
    """Return Markdown's links as HTML; everything else is plain text."""
    parts = []
    last = 0
    for match in _LINK.finditer(text):
        name, address = map(html.escape, match.groups())
        parts.append(html.escape(text[last : match.start()]))
        parts.append(f'<a href="{address}" rel="noopener">{name}</a>')
        last = match.end()
    return "".join((*parts, html.escape(text[last:])))
