"""The page behind a proxy: on another port, under a path, with any Host header."""

import shutil
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager

import httpx
import pytest
from PIL import Image

from helpers import tiny
from helpers.inside import API, file_data, png, running_inside
from helpers.server import ROOT, free_port

WAYS = [
    *(("keep", ""), ("name", ""), ("none", ""), ("upstream", "")),
    *(("keep", "/pixel"), ("none", "/a/b")),
]
QUICK = [WAYS[0], *WAYS[-2:]]
"""The routes for the browser; the program takes all."""


def wait_for(port):
    """Wait until the port is open."""
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


@contextmanager
def proxy(app, host, prefix=""):
    """Start a proxy and yield the page's address behind it, without a trailing slash."""
    port = free_port()
    upstream = app.url.removeprefix("http://")
    script = str(ROOT / "tests" / "helpers" / "proxy.py")
    running = subprocess.Popen([sys.executable, script, str(port), upstream, host, prefix])
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}{prefix}"
    finally:
        running.kill()
        running.wait()


def use(page, url, tmp_path):
    """Label a photo on the page; every request must be below this address and succeed."""
    hosts, failed = set(), []
    page.on("request", lambda request: hosts.add(request.url.split("/gradio_api")[0]))
    page.on("response", lambda r: failed.append(r.url) if r.status >= 400 else None)
    Image.fromarray(tiny.photo()).save(tmp_path / "photo.png")
    page.goto(f"{url}/?__theme=dark")
    page.set_input_files("#photo input[type=file]", tmp_path / "photo.png")
    page.wait_for_selector("#viewer .pw[data-state=ready]")
    assert "colour_net" in page.inner_text("#chip")
    assert {one for one in hosts if one.startswith("http") and not one.startswith(url)} == set()
    assert failed == []
    page.goto("about:blank")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("host", "prefix"),
    [way if way in QUICK else pytest.param(*way, marks=pytest.mark.slow) for way in WAYS],
)
def test_the_page_lives_behind_a_proxy(app, page, tmp_path, host, prefix):
    with proxy(app, host, prefix) as url:
        use(page, url, tmp_path)


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


def nginx_block(port, upstream, location="/"):
    """Return the nginx block of SECURITY.md, without TLS and for this page."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    block = textwrap.dedent(text.split("```nginx\n")[1].split("   ```")[0])
    slash = "/" if location != "/" else ""
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        ("http://127.0.0.1:7860;", f"{upstream}{slash};"),
        ("location / {", f"location {location} {{"),
    ):
        assert old in block
        block = block.replace(old, new)
    return block


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx here (apt install nginx-light)")
@pytest.mark.parametrize("location", ["/", "/pixelwise/"])
def test_the_block_of_our_own_security_page_works(app, page, tmp_path, location):
    port = free_port()
    places = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    block = nginx_block(port, app.url, location)
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}{block}}}\n"
    )
    command = ["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        use(page, f"http://127.0.0.1:{port}{location.rstrip('/')}", tmp_path)
    finally:
        running.terminate()
        running.wait()
