"""What a link to the page shows elsewhere, and that the page travels compressed."""

import gzip
import io
from html.parser import HTMLParser

import brotli
import httpx
import pytest
from PIL import Image

from helpers.inside import API, png
from page.http.compression import compressed
from page.http.link_preview import PICTURE, PICTURE_SIZE, TEXT, TITLE, preview_tags
from page.http.routes import is_cacheable, is_public
from page.requests.origin import page_address


class Head(HTMLParser):
    """The meta tags and titles of a page: name or property -> contents."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.meta: dict[str, list[str]] = {}
        self.titles = 0
        self.feed(html.partition("</head>")[0])

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.titles += tag == "title"
        if tag == "meta" and (name := found.get("property") or found.get("name")):
            self.meta.setdefault(name, []).append(found["content"])


def raw(app, path: str, encoding: str) -> tuple[httpx.Headers, bytes]:
    """Headers and the bytes that travelled."""
    headers = {"accept-encoding": encoding}
    with app.http.stream("GET", path, headers=headers) as reply:
        return reply.headers, b"".join(reply.iter_raw())


def test_a_link_shows_our_title_text_and_picture(app):
    head = Head(app.http.get("/").text)
    assert head.titles == 1
    assert head.meta["og:title"] == [TITLE]
    assert head.meta["og:description"] == head.meta["description"] == [TEXT]
    assert head.meta["og:url"] == [f"{app.url}/"]
    assert head.meta["og:image"] == [f"{app.url}{PICTURE}"]
    assert head.meta["twitter:card"] == ["summary_large_image"]
    assert not [name for name, values in head.meta.items() if "radio" in "".join(values)]
    assert "viewport" in head.meta


def test_its_picture_is_a_picture_of_the_size_it_says(app):
    reply = app.http.get(PICTURE)
    assert reply.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(reply.content)) as picture:
        assert picture.size == PICTURE_SIZE
    assert is_public(PICTURE)  # a chat that draws a preview has no password
    assert is_cacheable(PICTURE)


def test_its_size_is_told_without_its_bytes(app):
    reply = app.http.head("/")
    assert reply.status_code == 200
    assert reply.content == b""


@pytest.mark.parametrize(
    ("headers", "behind_proxy", "address"),
    [
        ({"host": "demo.example"}, False, "http://demo.example"),
        ({"host": "a:8000", "x-forwarded-host": "evil.example"}, False, "http://a:8000"),
        (
            {
                "host": "a:8000",
                "x-forwarded-host": "demo.example",
                "x-forwarded-proto": "https",
                "x-forwarded-prefix": "/pixelwise/",
            },
            True,
            "https://demo.example/pixelwise",
        ),
        ({}, False, "http://127.0.0.1:7860"),
    ],
)
def test_the_address_is_the_one_that_was_asked(headers, behind_proxy, address):
    raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"headers": raw_headers, "scheme": "http", "server": ("127.0.0.1", 7860)}
    assert page_address(scope, behind_proxy) == address
    assert f'content="{address}/"' in preview_tags(address)


def test_what_stands_in_a_tag_cannot_end_it():
    assert '"><script>' not in preview_tags('http://a"><script>')


def test_the_page_travels_compressed_to_those_who_can_read_that(app):
    packed_headers, packed = raw(app, "/", "gzip")
    plain_headers, plain = raw(app, "/", "identity")
    assert packed_headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain_headers
    assert "accept-encoding" in packed_headers["vary"].lower()
    assert len(packed) < len(plain) / 5
    assert gzip.decompress(packed).startswith(b"<!doctype html>")
    assert int(packed_headers["content-length"]) == len(packed)


def test_brotli_makes_it_smaller_still(app):
    headers, packed = raw(app, "/", "gzip, deflate, br")
    assert headers["content-encoding"] == "br"
    assert "accept-encoding" in headers["vary"].lower()
    assert int(headers["content-length"]) == len(packed)
    assert len(packed) < len(raw(app, "/", "gzip")[1])
    assert brotli.decompress(packed).startswith(b"<!doctype html>")
    assert compressed(b"<p>", "gzip;q=1, brr") is None


def test_a_stream_of_events_is_not_held_back_by_compression(app):
    event = app.call(app.upload(png())).json()["event_id"]
    headers, body = raw(app, f"{API}/call/segment/{event}", "gzip")
    assert headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in headers
    assert b"event: complete" in body
