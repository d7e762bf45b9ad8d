"""Requests from other sites' pages, and the page's own address."""

import itertools

import pytest

from helpers.inside import API, png
from helpers.sockets import ask
from page.requests.origin import is_local, page_root

PATHS = [
    *(("GET", path) for path in ("/config", f"{API}/info", f"{API}/queue/status", "/theme.css")),
    *(("GET", path) for path in (f"{API}/queue/data?session_hash=a", f"{API}/heartbeat/abc")),
    *(("GET", path) for path in (f"{API}/app_id", "/assets/x.js", f"{API}/user", "/logout")),
    *(("POST", path) for path in (f"{API}/queue/join", f"{API}/run/pixel", f"{API}/upload")),
    *(("POST", path) for path in (f"{API}/call/segment", f"{API}/cancel", "/login")),
    *(("POST", path) for path in ("/live/start", "/live/frame", "/live/stop")),
]
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "Same-Origin"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    {"Origin": "http://evil.example"},
    {"Origin": "https://evil.example:443"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://127.0.0.1.evil.example:{port}"},
    {"Origin": "http://evil.example@127.0.0.1:{port}"},
    {"Origin": "ftp://127.0.0.1:{port}"},
    {"Origin": "http://localhost:{port}"},
    {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"},
    {"Origin": "http://evil.example", "X-Gradio-Server": "http://evil.example"},
    {"Referer": "http://evil.example/x"},
]
OWN = [
    {},
    {"Origin": "http://127.0.0.1:{port}"},
    {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Referer": "http://127.0.0.1:{port}/?__theme=dark"},
]


def fill(app, headers):
    port = app.url.rpartition(":")[2]
    return [(name, value.replace("{port}", port)) for name, value in headers.items()]


@pytest.mark.parametrize("headers", FOREIGN)
def test_another_sites_page_is_refused_everywhere(app, headers):
    for method, path in PATHS:
        reply = ask(app.url, method, path, fill(app, headers))
        assert reply.status == 403, (method, path)
        assert b"another site's page" in reply.body


@pytest.mark.parametrize("headers", OWN)
def test_the_page_itself_and_programs_are_let_in(app, headers):
    for method, path in (*PATHS, ("GET", "/")):
        assert ask(app.url, method, path, fill(app, headers)).status != 403, (method, path)


def test_no_answer_grants_another_site_anything(app):
    asks = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "x")]
    everything = itertools.product((*FOREIGN, *OWN), (*PATHS, ("GET", "/"), ("OPTIONS", "/config")))
    for headers, (method, path) in everything:
        for host in ("", "pixel.example:80"):
            reply = ask(app.url, method, path, [*fill(app, headers), *asks], host=host)
            assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_link_elsewhere_opens_the_page(app):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask(app.url, "GET", "/", fill(app, {**link, "Sec-Fetch-Dest": "document"})).status == 200
    assert ask(app.url, "GET", "/", fill(app, {"Referer": "http://course.example/"})).status == 200
    for dest in ("image", "iframe", "object", "script", ""):
        odd = {**link, "Sec-Fetch-Dest": dest}
        assert ask(app.url, "GET", "/", fill(app, odd)).status == 403
    assert (
        ask(app.url, "POST", "/", fill(app, {**link, "Sec-Fetch-Dest": "document"})).status == 403
    )


def test_a_forwarded_host_is_not_trusted(app):
    for name in ("X-Forwarded-Host", "X-Gradio-Server", "Forwarded", "X-Forwarded-Proto"):
        for path in ("/", "/config", f"{API}/info"):
            reply = ask(app.url, "GET", path, [(name, "https://evil.example")])
            assert reply.status == 200
            assert b"evil.example" not in reply.body


def scope(path="/", scheme="http", client="127.0.0.1", **headers):
    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return {
        "path": path,
        "scheme": scheme,
        "headers": pairs,
        "client": (client, 5),
        "server": ("10.0.0.1", 7860),
        "method": "GET",
    }


@pytest.mark.parametrize(
    ("headers", "proxy", "root"),
    [
        ({"host": "lab:7860"}, False, "http://lab:7860"),
        ({}, False, "http://10.0.0.1:7860"),
        ({"host": "lab", "x_forwarded_host": "px.example"}, False, "http://lab"),
        (
            {"host": "lab", "x_forwarded_host": "px.example, b", "x_forwarded_proto": "https"},
            True,
            "https://px.example",
        ),
        (
            {"host": "a", "x_forwarded_host": "px.example", "x_forwarded_prefix": "/pixel/"},
            True,
            "http://px.example/pixel",
        ),
        ({"host": "a", "x_forwarded_prefix": "//evil/x"}, True, "http://a"),
        (
            {"host": "a", "referer": "https://px.example:8443/pixel/?a=/b"},
            False,
            "https://px.example:8443/pixel",
        ),
        ({"host": "a", "referer": "https://px.example/"}, False, "https://px.example"),
        ({"host": "a", "referer": "https://px.example/a b/"}, False, "."),
        ({"host": "a", "referer": "javascript:alert(1)", "origin": "http://a"}, False, "."),
        ({"host": "a", "sec_fetch_site": "same-origin"}, False, "."),
    ],
)
def test_the_pages_address(headers, proxy, root):
    assert page_root(scope(**headers), f"{API}/queue/join", proxy) == root


def test_the_page_is_relative_and_the_configuration_leaves_it_to_the_client():
    evil = {"host": "a", "referer": "http://b/"}
    assert page_root(scope(**evil), "/", False) == "."
    assert page_root(scope(**evil), "/config", False) == "/"


@pytest.mark.parametrize(
    ("where", "home"),
    [
        ({"host": "127.0.0.1:7860"}, True),
        ({"host": "localhost:7860", "origin": "http://localhost:7860"}, True),
        ({"host": "[::1]:7860", "client": "::1"}, True),
        ({"host": "pixel.example"}, False),
        ({}, False),
        ({"host": "localhost", "client": "192.168.1.7"}, False),
        ({"host": "localhost", "x_forwarded_for": "1.2.3.4"}, False),
        ({"host": "localhost", "x_forwarded_host": "localhost"}, False),
        ({"host": "localhost", "forwarded": "for=1.2.3.4"}, False),
        ({"host": "localhost", "x_real_ip": "127.0.0.1"}, False),
        ({"host": "localhost", "via": "1.1 a"}, False),
        ({"host": "localhost", "referer": "https://pixel.example/"}, False),
        ({"host": "localhost", "origin": "https://pixel.example"}, False),
        ({"host": "localhost.evil.example"}, False),
        ({"host": "127.0.0.1.evil.example"}, False),
    ],
)
def test_requests_from_this_machine(where, home):
    assert is_local(scope(**where)) is home


def test_a_photo_is_labelled_for_a_program_that_names_no_host(app):
    path = app.upload(png())
    body = b'{"data": [{"path": "%s", "meta": {"_type": "gradio.FileData"}}, ""]}' % path.encode()
    head = [("Content-Type", "application/json")]
    reply = ask(app.url, "POST", f"{API}/call/segment", head, body, version="1.0", host=None)
    assert reply.status == 200
    assert app.answer(reply.body.split(b'"')[3].decode())[0] == "complete"
