"""What a chat, a search engine or a browser's tab shows of a link to the page.

Gradio's own HTML names Gradio, its logo and its address in these tags. The picture and the address
must be absolute: whoever fetches them has no page to start from (the Open Graph protocol,
https://ogp.me).
"""

import re
from html import escape
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from page import texts
from page.http.compression import compressed
from page.requests.origin import header
from page.requests.request_body import Message

KEY = "pixelwise.address"
"""Where a request's scope has the page's address; see `page.requests.origin.page_address`."""
TITLE = "Pixelwise: what does a computer see in your photo?"
TEXT = (
    "Drop a photo, and every pixel gets a name: person, cat, car. Point to read it, click to ask "
    "why. Nothing to install, no account."
)
PICTURE_TEXT = "A photo with its labels painted over it, and the classes beside it."
PICTURE = "/preview.jpg"
PICTURE_SIZE = (1200, 630)
"""(width, height) in pixels, the 1.91 to 1 that link previews are cut to."""
_FILE = Path(__file__).parent.parent / "static" / "preview.jpg"
_GRADIOS = re.compile(rb'\s*<meta\s+(?:property="og:|name="twitter:)[^>]*>')


def preview_route() -> Route:
    """Return the route of the preview's picture, for `FastAPI(routes=...)`."""

    async def picture(_: Request) -> FileResponse:
        return FileResponse(_FILE, media_type="image/jpeg")

    return Route(PICTURE, picture)


def preview_tags(address: str) -> str:
    """Return the HTML of title, description, picture and address.

    Args:
        address: The page's address, without a slash at its end.
    """
    width, height = PICTURE_SIZE
    facts = {
        "og:type": "website",
        "og:site_name": texts.TITLE,
        "og:title": TITLE,
        "og:description": TEXT,
        "og:url": f"{address}/",
        "og:image": f"{address}{PICTURE}",
        "og:image:width": width,
        "og:image:height": height,
        "og:image:alt": PICTURE_TEXT,
    }
    tags = [f'<meta property="{k}" content="{escape(str(v))}">' for k, v in facts.items()]
    tags.append('<meta name="twitter:card" content="summary_large_image">')
    tags.append(f'<meta name="description" content="{escape(TEXT)}">')
    return f"<title>{escape(TITLE)}</title>{''.join(tags)}"


class LinkPreviewMiddleware:
    """Puts our tags in the place of Gradio's in the page's HTML; passes everything else on.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Handle one connection."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or path not in ("", "/") or KEY not in scope:
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            html = _with_tags(bytes(body), preview_tags(scope[KEY]).encode())
            headers = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
            accepted = header(scope, b"accept-encoding") or ""
            if packed := await anyio.to_thread.run_sync(compressed, html, accepted):
                html = packed
                headers += [(b"content-encoding", b"br"), (b"vary", b"Accept-Encoding")]
            if scope["method"] == "HEAD":
                html = b""
            else:
                headers.append((b"content-length", b"%d" % len(html)))
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": html})

        await self.app(scope, receive, collect)


def _with_tags(html: bytes, tags: bytes) -> bytes:
    """Return a page's HTML with other tags; what has no head stays as it is."""
    head, end, rest = html.partition(b"</head>")
    if not end:
        return html
    first, charset, more = _GRADIOS.sub(b"", head).partition(b"<head>")
    return first + charset + b'<meta charset="utf-8">' + tags + more + end + rest
