"""Routes, headers, files and the password: what strangers can reach on the page."""

import io
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from helpers.gossip import SECRET, gossip, segments_of
from helpers.inside import API, file_data, png, running_inside
from helpers.page_calls import ask_page, files_in
from page.http.security_headers import security_headers
from segmentation import open_image

# --- routes and headers ----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/config", f"{API}/info", "/nowhere", "/theme.css"])
def test_every_answer_has_the_headers(app, path):
    headers = app.http.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == "'self' data: blob:"
    assert policy["object-src"] == policy["frame-ancestors"] == "'none'"
    assert "http" not in headers["content-security-policy"]


def test_frames_are_allowed_only_where_asked():
    headers = security_headers(["https://example.org", "https://*.hf.space"])
    assert headers["content-security-policy"].endswith(
        "frame-ancestors https://example.org https://*.hf.space"
    )
    assert "x-frame-options" not in headers


def test_an_uploaded_page_is_served_as_a_dead_file(app):
    path = app.upload(b"<script>alert(1)</script>", "page.html")
    answer = app.http.get(f"{API}/file={path}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/redoc",
        "/openapi.json",
        "/monitoring",
        "/monitoring/summary",
        "/monitoring/key",
        f"{API}/proxy=http://127.0.0.1:1/",
        f"{API}/runs",
        f"{API}/run-history/records",
        f"{API}/deep_link",
        f"{API}/dev/reload",
        f"{API}/vibe-code",
        f"{API}/profiling/summary",
        f"{API}/custom_component/x/client/component/index.js",
        f"{API}/stream/a/1/2/playlist.m3u8",
        f"{API}/file/etc/passwd",
        f"{API}/mcp",
    ],
)
def test_routes_that_nobody_needs_do_not_exist(app, path):
    assert app.http.get(path).status_code == 404
    assert app.http.post(path).status_code == 404


def test_odd_methods_are_refused(app):
    assert app.http.delete("/").status_code == 405
    assert app.http.request("TRACE", "/").status_code == 405


def test_a_redirect_never_leads_to_another_host(app):
    for header in ("x-forwarded-host", "x-gradio-server", "host"):
        evil = "http://evil.example" if header == "x-gradio-server" else "evil.example"
        for path in ("/logout", f"{API}/upload/", "//evil.example/", "/\\evil.example"):
            answer = app.http.get(path, headers={header: evil})
            assert "evil" not in answer.headers.get("location", "")


# --- files -----------------------------------------------------------------------------------


@pytest.fixture
def secret(app, tmp_path):
    """Paths that might lead to a file outside of the temporary folder."""
    path = tmp_path / "secret.txt"
    path.write_text("the word is xyzzy")
    folder = app.site.folder / "links"
    folder.mkdir(exist_ok=True)
    link = folder / f"link{time.monotonic_ns()}.txt"
    link.symlink_to(path)
    parent = folder / f"parent{time.monotonic_ns()}"
    parent.symlink_to(tmp_path)
    up = "/".join([".."] * 12)
    paths = [
        str(path),
        str(link),
        f"{parent}/secret.txt",
        f"{app.site.folder}/{up}{path}",
        f"{up}{path}",
        f"/{path}",
        f"file://{path}",
        str(path).replace("/", "\\"),
        f"{path}\0.png",
        f"{app.site.folder}/../{path.parent.name}/secret.txt",
        "app.py",
        "README.md",
        str(Path(__file__)),
        "/proc/self/environ",
        "/etc/passwd",
        "~/.bashrc",
        "",
        ".",
        str(app.site.folder),
    ]
    yield paths
    link.unlink()
    parent.unlink()


def test_nothing_outside_the_folder_can_be_read(app, secret):
    encoders = [
        lambda text: httpx.URL("http://x/" + text.replace("\0", "%00")).raw_path[1:].decode(),
        lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
        lambda text: text.replace(".", "%2e").replace("/", "%2f").replace("\0", "%00"),
        lambda text: text.replace("/", "%252f").replace(".", "%252e").replace("\0", "%2500"),
        lambda text: text.replace("../", "....//").replace("\0", "%00"),
    ]
    host, port = app.url.removeprefix("http://").split(":")
    for path in secret:
        for encode in encoders:
            target = f"{API}/file={encode(path)}".replace(" ", "%20")
            with socket.create_connection((host, int(port)), 10) as raw:  # not normalized
                raw.sendall(
                    f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
                )
                answer = b"".join(iter(lambda raw=raw: raw.recv(65536), b""))
            status = int(answer.split()[1])
            assert status in (400, 403, 404), (target, answer[:200])
            assert b"xyzzy" not in answer
            assert b"root:" not in answer


def call_bodies(app, data):
    """Yield (path, body) for every route that takes a call's JSON."""
    number = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "segment")
    label = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "label")
    pixel = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "pixel")
    yield f"{API}/call/segment", {"data": [data, ""]}
    yield f"{API}/call/segment", {"data": ["", data]}
    yield f"{API}/call/v2/segment", {"image": data, "model": ""}
    yield f"{API}/run/segment", {"data": [data, ""]}
    yield f"{API}/api/pixel", {"data": [data], "fn_index": pixel}
    for index in (number, label):
        body = {"data": [data, "", 0][: 2 + (index == label)], "fn_index": index}
        yield f"{API}/queue/join", {**body, "session_hash": "forger"}
        yield f"{API}/queue/join", {**body, "session_hash": "forger", "event_data": {"a": [data]}}


def test_nothing_outside_the_folder_can_be_named_in_a_call(app, secret):
    before, calls = files_in(app.site.folder), app.gate.calls
    for path in filter(None, secret):
        for data in (file_data(path), {"path": path}, file_data(path, is_stream=True)):
            for url, body in call_bodies(app, data):
                answer = app.http.post(url, json=body)
                assert answer.status_code == 403, (url, body, answer.text)
                assert "uploaded here" in answer.text or "fetches nothing" in answer.text
    assert files_in(app.site.folder) == before
    assert app.gate.calls == calls


@pytest.fixture
def listener():
    """A server that ours must not contact; yields its URL and the list of requested paths."""
    requested: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_HEAD = do_POST = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/cat.png", requested
    server.shutdown()


def test_no_route_asks_an_address_that_a_visitor_names(app, listener):
    address, requested = listener
    for url in (address, address.replace("http", "HTTP"), "https://huggingface.co/cat.png"):
        forms = [
            file_data(url),
            file_data(url, url=url),
            {"path": "", "url": url},
            {"url": url},
            {"path": None, "url": url, "meta": {"_type": "gradio.FileData"}},
        ]
        for data in forms:
            for route, body in call_bodies(app, data):
                assert app.http.post(route, json=body).status_code == 403, (route, data)
        for prefix in (f"{API}/file=", f"{API}/proxy=", f"{API}/file/", f"{API}/proxy/"):
            answer = app.http.get(prefix + url, follow_redirects=False)
            assert answer.status_code in (403, 404)
            assert "location" not in answer.headers
    assert requested == []


def test_a_finished_answer_tells_nothing_of_the_upload(app):
    exif = Image.Exif()
    exif[0x010E] = "grandma in Graz"
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 4.0, 0.0)})
    kind, data = app.segment(png(exif=exif), "holiday with grandma.png")
    assert kind == "complete"
    assert "holiday" not in data
    for file in json.loads(data)[:2]:
        answer = app.http.get(f"{API}/file={file['path']}")
        assert answer.status_code == 200
        assert b"grandma" not in answer.content
        assert not Image.open(io.BytesIO(answer.content)).getexif()


def test_the_picture_for_the_page_has_no_metadata(app):
    exif = Image.Exif()
    exif[0x010E] = "grandma in Graz"
    value = ask_page(app, app.upload(png(exif=exif), "holiday with grandma.png"))[-1]
    value.pop("source")  # the path by which the browser itself names its upload
    assert "holiday" not in json.dumps(value)
    for key in ("photo", "labels"):
        content = app.http.get(f"{API}/file={value[key]['path']}").content
        assert b"grandma" not in content
        picture = Image.open(io.BytesIO(content))
        assert not picture.getexif()
        assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_jpeg_for_the_page_keeps_its_picture_and_nothing_else(app):
    data = gossip()
    assert data.count(SECRET) > 8
    value = ask_page(app, app.upload(data, "holiday with grandma.jpg"))[-1]
    value.pop("source")  # the path by which the browser itself names its upload
    assert "holiday" not in json.dumps(value)
    content = app.http.get(f"{API}/file={value['photo']['path']}").content
    assert SECRET not in content
    assert b"Phone" not in content
    markers = {marker for marker, _ in segments_of(content)}
    assert markers <= {0xC0, 0xC4, 0xDA, 0xDB, 0xE0}  # frame, tables, scan; JFIF
    picture = Image.open(io.BytesIO(content))
    assert not picture.getexif()
    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert np.abs(np.asarray(picture).astype(int) - open_image(data)).mean() < 2


# --- a password ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked(tiny_program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked")
    auth = ("ana", "secret")
    with running_inside(tiny_program, folder, auth=auth, embed=("https://example.org",)) as app:
        yield app


def test_a_password_guards_the_api_and_the_files(locked):
    outside = httpx.Client(base_url=locked.url, trust_env=False)
    own = locked.site.folder / "x" / "result.png"
    own.parent.mkdir(exist_ok=True)
    own.write_bytes(png())
    for path in ("/config", f"{API}/info", f"{API}/file={own}", f"{API}/queue/status"):
        assert outside.get(path).status_code == 401, path
    for path in ("upload", "queue/join", "call/segment", "run/pixel", "cancel", "reset"):
        assert outside.post(f"{API}/{path}", json={"data": []}).status_code == 401, path
    for path in ("heartbeat/abc", "queue/data?session_hash=a", "upload_progress?upload_id=1"):
        assert outside.get(f"{API}/{path}").status_code == 401, path
    page = outside.get("/")
    assert page.status_code == 200
    assert '"auth_required":true' in page.text.replace(" ", "")
    assert "frame-ancestors https://example.org" in page.headers["content-security-policy"]


def test_the_right_word_opens_and_a_wrong_one_costs_time(locked):
    start = time.monotonic()
    for word in ("wrong", "Secret", "anas"):
        data = {"username": "ana", "password": word}
        assert locked.http.post("/login", data=data).status_code == 400
    assert time.monotonic() - start > 0.9
    right = {"username": "ana", "password": "secret"}
    assert locked.http.post("/login", data=right).status_code == 200
    assert locked.http.get("/config").status_code == 200
    assert locked.segment(png())[0] == "complete"
    forged = {"Cookie": "; ".join(f"{c.name}=forged" for c in locked.http.cookies.jar)}
    assert httpx.get(f"{locked.url}/config", headers=forged).status_code == 401
