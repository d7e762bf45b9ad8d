"""Malformed requests: none causes a 5xx, a traceback or a forged line in the log.

The app runs in a process of its own, at its usual log level.
"""

import itertools
import json
import socket
import time
import urllib.request
from urllib.parse import urlsplit

import pytest

from helpers.inside import API
from helpers.server import start_app
from helpers.sockets import ask, post, send

NAMES = ("segment", "label", "pixel", "several", "nonesuch", "predict", "%00", "%20", "é")
PATHS = [
    *("/", "/?page=nonesuch", "/?deep_link=../../x", "/?page=%00", "/config", "/config?page=zz"),
    *("/config?deep_link=a", "/login", "/logout", "/logout?all_session=maybe", "/favicon.ico"),
    *("/robots.txt", "/manifest.json", "/theme.css", "/pwa_icon", "/pwa_icon/99999", "/nowhere"),
    *("/assets/", "/assets/..%2f..%2froutes.py", "/assets/%00", "/assets/" + "a" * 5000),
    *("/static/img", "/static/%ff", "/svelte/x", "//", "//evil/", "/\\evil", "/%2e%2e/", "*"),
    *("http://evil/", "http://evil:99999/", "/" + "a" * 60000, "/config%00", "/live/start"),
    *("/live/frame", "/live/frame?id=%00", "/live/stop?id=" + "a" * 70, "/live/stop?id=abc"),
    *(f"{API}/info", f"{API}/info?all_endpoints=zz", f"{API}/openapi.json", f"{API}/user"),
    *(f"{API}/app_id", f"{API}/startup-events", f"{API}/token", f"{API}/queue/status"),
    *(f"{API}/queue/data", f"{API}/queue/data?session_hash=nobody", f"{API}/heartbeat/"),
    *(f"{API}/queue/data?session_hash=%00", f"{API}/queue/data?session_hash=a&session_hash=b"),
    *(f"{API}/heartbeat/abc/", f"{API}/upload_progress", f"{API}/upload_progress?upload_id=%0a"),
    *(f"{API}/call/segment/none", f"{API}/call/nonesuch/x", f"{API}/call/v2/segment/none"),
    *(f"{API}/call/v2/segment/%20", f"{API}/file=", f"{API}/file=%00", f"{API}/file=%ff%fe"),
    *(f"{API}/file=" + "a" * 3000, f"{API}/upload", f"{API}/cancel", f"{API}/reset"),
]
HEADERS = [
    *(
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://["),
        ("Origin", ""),
    ),
    *(("X-Forwarded-Host", "[::"), ("X-Gradio-Server", "http://[::"), ("Referer", "http://[/")),
    *(("Range", "bytes=0-1,3-4"), ("Range", "bytes=9-1"), ("Range", "bytes=abc"), ("Range", "x")),
    *(("Cookie", 'a=b; c="\\777"; =; ;;'), ("Accept-Encoding", "br;q=x, gzip"), ("If-Match", "x")),
    *(("If-Modified-Since", "yesterday"), ("Sec-Fetch-Site", "\xff"), ("Accept", ",;=")),
    *(("Content-Type", "application/json; charset=utf-99"), ("Expect", "100-continue")),
    *(("Content-Type", "multipart/form-data"), ("Transfer-Encoding", "identity")),
]
VALUES = [
    *(None, True, -1, 1e308, "", "x" * 3000, "\0", [], {}, [[[]]], {"a": {"b": [1, None]}}),
    *({"path": ""}, {"path": None}, {"path": 5}, {"url": "data:,"}, {"__type__": "update"}),
    {"path": "", "url": "data:image/png;base64,AAAA", "meta": {"_type": "gradio.FileData"}},
]
BODIES = [
    *(b"", b"[]", b"{", b"\xff", b'{"data":[NaN]}', b'{"data":[1e999]}', b'{"data":["\\ud800"]}'),
    *(b"[" * 5000, b'{"a":' * 5000, b'{"data":[' + b"9" * 5000 + b"]}", b'{"data":[-Infinity]}'),
    *({"data": [None], "session_hash": 5}, {"data": [None], "batched": True}, {}, {"data": None}),
    {"data": [[None]], "batched": "x", "simple_format": 7, "oauth_token": [], "event_id": {}},
    *({"image": None, "model": ""}, {"image": {"path": ""}, "model": None}, {"data": [1] * 9}),
]
FORM = (("Content-Type", "multipart/form-data; boundary=x"),)


@pytest.fixture(scope="module")
def running(tiny_program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    with start_app("--model", str(tiny_program), folder=folder) as (url, _):
        yield url, folder / "app.log"


@pytest.fixture
def url(running):
    """The app's address; after the test the log must contain no traceback."""
    address, log = running
    yield address
    time.sleep(0.2)
    said = log.read_text()
    assert "Traceback" not in said, said[-4000:]


sample = pytest.mark.parametrize("step", [12, pytest.param(1, marks=pytest.mark.slow)])
"""Every fifth request by default, all with `-m slow`."""


def check(replies):
    """Send requests; none may cause a server error."""
    bad = [(what, reply.status) for what, reply in replies if reply.status >= 500]
    assert not bad


@sample
def test_odd_addresses(url, step):
    methods = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "x" * 30)
    every = itertools.product(PATHS, methods)
    check(((m, path[:80]), ask(url, m, path)) for path, m in itertools.islice(every, 0, None, step))


def test_without_a_host(url):
    check((path, ask(url, "GET", path, version="1.0", host=None)) for path in PATHS)
    check((h, ask(url, "GET", "/", [h], version="1.0", host=None)) for h in HEADERS)
    for host in ("evil:abc", "[::", "a b", "evil:99999", "é"):
        assert ask(url, "GET", "/", host=host).status == 400


def test_odd_headers(url):
    paths = ("/", "/config", f"{API}/info", "/static/img/logo.svg", f"{API}/app_id", "/logout")
    check(((h, path), ask(url, "GET", path, [h])) for h, path in itertools.product(HEADERS, paths))
    check((h, ask(url, "POST", f"{API}/queue/join", [h], b"{}")) for h in HEADERS)


@sample
def test_odd_values_for_every_function(url, step):
    with urllib.request.urlopen(f"{url}/config") as answer:
        functions = json.load(answer)["dependencies"]
    assert len(functions) > 20
    for one in functions:
        many = len(one["inputs"])
        for value in VALUES[one["id"] % step :: step]:
            call = {"data": [value] * many, "fn_index": one["id"], "event_data": value}
            join = post(url, f"{API}/queue/join", {**call, "session_hash": "odd"})
            run = post(url, f"{API}/run/predict", call)
            check([((one["id"], value), join), ((one["id"], value), run)])
        for data in ([], [None] * (many + 3), None, "x", {}):
            call = {"data": data, "fn_index": one["id"], "event_data": {"index": 7}}
            check([((one["id"], data), post(url, f"{API}/run/predict", call))])


@sample
def test_odd_calls_by_name(url, step):
    kinds = ("run", "api", "call", "call/v2")
    check(
        ((kind, name, body), post(url, f"{API}/{kind}/{name}", body))
        for kind, name, body in list(itertools.product(kinds, NAMES, BODIES))[::step]
    )
    check((body, post(url, f"{API}/queue/join", body)) for body in BODIES)
    for path in ("/cancel", "/reset"):
        for body in (*BODIES, {"session_hash": "a", "fn_index": "1", "event_id": "b"}):
            assert post(url, API + path, body).status in (200, 400, 422), body


def form(*parts):
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


def test_odd_uploads_and_logins(url):
    file = b'Content-Disposition: form-data; name="files"; filename="%s"\r\n\r\nhello'
    forms = [
        *(b"", b"junk", form(b"\r\nhello"), form(b"X: " + b"a" * 20000 + b"\r\n\r\nhello")),
        form(b'Content-Disposition: form-data; name="files"\r\n\r\nhello'),
        form(b'Content-Disposition: form-data; filename="a"\r\n\r\nhello'),
        *(form(file % name) for name in (b"a", b"\xff\xfe", b"..\\..", b"", b"a" * 4000)),
        form(*[file % b"a"] * 40),
        form(file % b"a")[:-9],
        *(b"username=a&password=b", b"username=%ff&password=%00", b"a=" * 3000),
    ]
    kinds = ["multipart/form-data; boundary=x", "multipart/form-data", "text/plain"]
    kinds += ["multipart/form-data; boundary=", "multipart/form-data; boundary=x; charset=utf-99"]
    kinds += ["application/x-www-form-urlencoded", "application/json"]
    for query, body, kind in itertools.product(
        ("", "?upload_id=abc", "?upload_id=%00"), forms, kinds
    ):
        reply = ask(url, "POST", f"{API}/upload{query}", [("Content-Type", kind)], body)
        assert reply.status < 500, (query, body[:40], kind)
    for body, kind in itertools.product(forms, kinds):
        reply = ask(url, "POST", "/login", [("Content-Type", kind)], body)
        assert reply.status < 500, (body[:40], kind)


@pytest.mark.parametrize("path", ["upload", "queue/join", "run/predict", "cancel"])
def test_a_body_that_is_broken_off_leaves_no_trace(url, path):
    parts = urlsplit(url)
    head = f"POST {API}/{path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 5000\r\n"
    with socket.create_connection((parts.hostname, parts.port)) as raw:
        raw.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x".encode())
        time.sleep(0.1)


def test_what_is_hardly_http(url):
    host = b"Host: a\r\n"
    chunked = host + b"Transfer-Encoding: chunked\r\n"
    for data in (
        b"\0\1\2\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host * 2 + b"\r\n",
        b"POST / HTTP/1.1\r\n" + chunked + b"\r\nzz\r\n",
        b"POST /login HTTP/1.1\r\n" + chunked + b"\r\n5\r\nhel",
        b"POST " + API.encode() + b"/upload HTTP/1.1\r\n" + chunked + b"\r\n5\r\nhello\r\nzz\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n",
        b"POST /login HTTP/1.1\r\n" + host + b"Content-Length: " + b"9" * 20 + b"\r\n\r\n",
    ):
        assert send(url, data, 2).status < 500, data


@pytest.mark.parametrize("level", ["debug", pytest.param("info", marks=pytest.mark.slow)])
def test_a_path_cannot_write_a_line_into_the_log(level, tiny_program, tmp_path):
    arguments = ("--model", str(tiny_program), "--log-level", level)
    with start_app(*arguments, folder=tmp_path) as (url, _):
        for path in ("/x%0a2026-01-01%20forged", f"{API}/file=x%0d%0aforged", "/%1b[31mforged"):
            ask(url, "GET", path)
        time.sleep(0.2)
    lines = (tmp_path / "app.log").read_text(errors="replace").splitlines()
    assert sum(" GET " in line for line in lines) > 2
    assert not [line for line in lines if "forged" in line and " GET " not in line]
    assert not [line for line in lines if "\x1b" in line]
