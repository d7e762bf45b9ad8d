"""The page without a network: it is complete, and it stops on a signal."""

import json
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from conftest import ROOT, need_chromium
from helpers import tiny

pytestmark = pytest.mark.browser

SCRIPT = "tests.helpers.no_network"


def namespace() -> list[str]:
    """Return a command prefix that isolates the network, if the system allows it."""
    for flags in (["-n"], ["-rn"]):
        words = ["unshare", *flags, "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        if shutil.which("unshare") and shutil.which("ip"):
            tried = subprocess.run([*words, "true"], capture_output=True)
            if tried.returncode == 0:
                return words
    return []  # then only the refusing proxies and the browser's rules isolate it


@pytest.fixture(scope="module")
def told(tiny_program, tmp_path_factory):
    need_chromium()
    folder = tmp_path_factory.mktemp("alone")
    photo = folder / "three colours.png"
    Image.fromarray(tiny.photo()).save(photo)
    words = namespace()
    run = subprocess.run(
        [*words, sys.executable, "-m", SCRIPT, str(tiny_program), str(photo), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    log = folder / "app.log"
    said = log.read_text() if log.exists() else ""
    assert run.returncode == 0, run.stderr[-3000:] + said[-3000:]
    result = json.loads(run.stdout.splitlines()[-1])
    if words:
        assert result["isolated"]
    return result


def test_a_photo_is_labelled(told):
    assert told["classes"] == ["cat", "dog", "everything else", "person"]
    assert told["first_bar"].startswith("Cat")


def test_no_other_host_is_asked(told):
    assert len(told["hosts"]) == 1
    assert told["hosts"][0].startswith("127.0.0.1:")


def test_the_page_is_whole(told):
    # the page closes its event stream when no call is pending
    ended = [url for url in told["failed"] if "/queue/data?" not in url]
    assert [url for url in ended if not url.startswith("blob:")] == []
    assert set(told["fonts"]) <= {"loaded"}


def test_the_content_policy_blocks_nothing_that_the_page_needs(told):
    blocked = [text for text in told["complaints"] if "cdnjs.cloudflare.com" not in text]
    assert blocked == []


def test_a_link_that_cannot_be_had_is_told(told):
    assert "No public link: Gradio's relay could not be reached" in told["log"]
    assert "runs on this machine only, with at most 10 MB and 24 megapixels" in told["log"]


def test_the_log_tells_neither_addresses_nor_names(told):
    assert "POST /gradio_api/upload 200" in told["log"]
    assert "three" not in told["log"]
    assert " 127.0.0.1 " not in told["log"]
    assert "Traceback" not in told["log"]


def test_a_signal_ends_the_page_and_its_folder(told):
    assert told["status"] == 0
    assert told["seconds_to_end"] < 10
    assert len(told["temporary"]) == 1
    assert told["left"] == []
