"""The page behind a proxy process: on another port, under a path, with whatever Host header."""

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

import tiny
from inside import API, file_data, png, running_inside
from server import free_port

WAYS = [
    *(("keep", ""), ("name", ""), ("none", ""), ("upstream", "")),
    *(("keep", "/pixel"), ("none", "/a/b")),
]


@pytest.fixture(scope="module")
def app(tiny_program, tmp_path_factory):
    with running_inside(tiny_program, tmp_path_factory.mktemp("cache")) as app:
        yield app


@contextmanager
def proxy(app, host, prefix=""):
    """Start one; yields the page's address behind it, without a slash at the end."""
    port = free_port()
    upstream = app.url.removeprefix("http://")
    script = str(Path(__file__).with_name("proxy.py"))
    running = subprocess.Popen([sys.executable, script, str(port), upstream, host, prefix])
    try:
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}{prefix}"
    finally:
        running.kill()
        running.wait()


@pytest.mark.browser
@pytest.mark.parametrize(("host", "prefix"), WAYS)
def test_the_page_lives_behind_a_proxy(app, page, tmp_path, host, prefix):
    hosts, failed = set(), []
    page.on("request", lambda request: hosts.add(request.url.split("/gradio_api")[0]))
    page.on("response", lambda r: failed.append(r.url) if r.status >= 400 else None)
    Image.fromarray(tiny.photo()).save(tmp_path / "photo.png")
    with proxy(app, host, prefix) as url:
        page.goto(f"{url}/?__theme=dark")
        page.set_input_files("#photo input[type=file]", tmp_path / "photo.png")
        page.wait_for_selector("#viewer .pw[data-state=ready]")
        assert "colour_net" in page.inner_text("#run-facts")
        assert {one for one in hosts if one.startswith("http") and not one.startswith(url)} == set()
        assert failed == []
        page.goto("about:blank")


@pytest.mark.parametrize(("host", "prefix"), WAYS)
def test_a_program_is_answered_behind_a_proxy(app, host, prefix):
    with proxy(app, host, prefix) as url, httpx.Client(timeout=30, trust_env=False) as http:
        path = http.post(f"{url}{API}/upload", files={"files": ("a.png", png())}).json()[0]
        event = http.post(f"{url}{API}/call/segment", json={"data": [file_data(path), ""]}).json()
        said = http.get(f"{url}{API}/call/segment/{event['event_id']}").text
        assert "event: complete" in said
        assert http.get(f"{url}{API}/file={path}").content == png()
        assert http.get(f"{url}/config").json()["root"] == ""


def test_what_a_trusted_proxy_says_names_the_results(tiny_program, tmp_path):
    said = {"X-Forwarded-Host": "px.example", "X-Forwarded-Proto": "https"}
    for trusted in (False, True):
        folder = tmp_path / str(trusted)
        with running_inside(tiny_program, folder, behind_proxy=trusted) as app:
            app.http.headers.update({**said, "X-Forwarded-Prefix": "/pixel"})
            answer = app.segment(png())[1]
            root = "https://px.example/pixel" if trusted else app.url
            assert f'"url": "{root}{API}/file=' in answer
            own = {"Origin": "https://px.example"}
            assert app.http.get("/config", headers=own).status_code == (200 if trusted else 403)
