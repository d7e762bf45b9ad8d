"""The repository as it is on Hugging Face Spaces: front matter, and what starts there."""

import re
from importlib.metadata import version

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from helpers.inside import file_data, png
from helpers.server import ROOT, start_app

SPACE = {
    "SPACE_ID": "ana/pixelwise",
    "SYSTEM": "spaces",
    "SPACE_HOST": "ana-pixelwise.hf.space",
    "GRADIO_SERVER_NAME": "0.0.0.0",
}
FRAMES = "frame-ancestors https://huggingface.co https://*.hf.space"


@pytest.fixture(scope="module")
def front_matter() -> dict[str, str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1]
    return {
        key: value.strip().strip('"')
        for key, _, value in (line.partition(":") for line in block.splitlines())
    }


def test_the_front_matter_starts_this_app(front_matter):
    assert front_matter["sdk"] == "gradio"
    assert (ROOT / front_matter["app_file"]).is_file()
    assert len(front_matter["short_description"]) <= 60  # more is refused
    required = re.search(r'requires-python = "(.*)"', (ROOT / "pyproject.toml").read_text())[1]
    assert front_matter["python_version"] in SpecifierSet(required)


def test_the_front_matter_and_the_requirements_ask_for_one_gradio(front_matter):
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    gradio = next(one for one in map(Requirement, lines) if one.name == "gradio")
    asked = front_matter["sdk_version"]
    assert asked in gradio.specifier
    assert str(min(one.version for one in gradio.specifier if one.operator == ">=")) in asked
    assert version("gradio") in gradio.specifier


@pytest.fixture(scope="module")
def space(tiny_program, tmp_path_factory):
    """The app as a Space starts it, but for the port and the model."""
    folder = tmp_path_factory.mktemp("space")
    program = ("--model", str(tiny_program))
    zero = {"SPACES_ZERO_GPU": "true", "PYTHONPATH": str(ROOT / "tests" / "helpers" / "fake")}
    with (
        start_app(*program, folder=folder, **SPACE, **zero) as (url, app),
        httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
    ):
        yield http
        assert app.poll() is None


def test_hugging_face_may_frame_it_and_nobody_else(space):
    headers = space.get("/").headers
    assert headers["content-security-policy"].endswith(FRAMES)
    assert "x-frame-options" not in headers


def test_it_listens_where_the_space_says(space):
    """GRADIO_SERVER_NAME is heard: the whole network of 127.0.0.0/8 reaches 0.0.0.0."""
    port = space.base_url.port
    assert httpx.get(f"http://127.0.0.2:{port}/config", trust_env=False).status_code == 200


def test_its_limits_are_those_for_strangers(space):
    large = b"\0" * (10 * 2**20 + 1)
    answer = space.post("/gradio_api/upload", files={"files": ("a.png", large)})
    assert answer.status_code == 413
    assert answer.text == "This file is larger than 10 MB, the limit of this page."


@pytest.mark.slow
def test_a_photo_is_labelled_there(space):
    path = space.post("/gradio_api/upload", files={"files": ("a.png", png())}).json()[0]
    call = space.post("/gradio_api/call/segment", json={"data": [file_data(path), ""]})
    with space.stream("GET", f"/gradio_api/call/segment/{call.json()['event_id']}") as stream:
        lines = list(stream.iter_lines())
    assert "event: complete" in lines, lines
    assert '"model": "colour_net"' in " ".join(lines)
