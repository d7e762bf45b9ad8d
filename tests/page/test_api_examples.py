"""The examples for programs, in three languages, against the real server."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import segmentation
from helpers import tiny
from helpers.schemas import check
from helpers.server import ROOT
from segmentation.inference.metrics import agreement, joint_classes, overlaps

EXAMPLES = ROOT / "docs" / "examples"
OTHER = "embedded"
ARGUMENTS = {
    "segment": ["colour_net"],
    "probabilities": ["20", "90", "colour_net"],
    "compare": ["colour_net", OTHER],
}


@pytest.fixture(scope="module")
def photo_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "three, colours.png"
    Image.fromarray(tiny.photo()).save(path)
    return path


@pytest.fixture(scope="module")
def results(tiny_program, photo_file):
    """What the two models say here, without a server."""
    return [
        segmentation.load(name, device="cpu").predict(photo_file) for name in (tiny_program, OTHER)
    ]


@pytest.fixture(scope="module")
def expected(results) -> dict[str, list[str]]:
    """What the examples in Python and JavaScript print."""
    ours, _ = results
    pixel = ours.pixel(20, 90)
    maps, names = joint_classes([r.class_map for r in results], [r.categories for r in results])
    return {
        "segment": [f"{area.name} {area.fraction:.1%}" for area in ours.areas()],
        "probabilities": [
            f"cat {pixel.probabilities[tiny.CAT]:.1%}",
            f"margin {pixel.margin:.3f}, entropy {pixel.entropy:.3f} bits",
        ],
        "compare": [
            f"they agree on {agreement(maps)[0, 1]:.1%} of the pixels",
            *(f"{one.name} IoU {one.iou:.3f}" for one in overlaps(*maps, names)),
        ],
    }


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("name", ARGUMENTS)
def test_python(name, app_url, photo_file, tmp_path, expected, results):
    script = str(EXAMPLES / f"{name}.py")
    done = run([sys.executable, script, app_url, str(photo_file), *ARGUMENTS[name]], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected[name]
    check_files(name, tmp_path, results)


def check_files(name, folder, results):
    """What an example saved has the values that the network gives here."""
    ours, other = (result.class_map for result in results)
    if name == "segment":
        np.testing.assert_array_equal(np.asarray(Image.open(folder / "labels.png")), ours)
        assert Image.open(folder / "overlay.png").size == (192, 128)
    if name == "compare":
        same = np.asarray(Image.open(folder / "agreement.png"))
        np.testing.assert_array_equal(same, np.where(ours == other, 255, 0))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_curl(name, app_url, photo_file, tmp_path, results):
    if shutil.which("curl") is None or shutil.which("sh") is None:
        pytest.skip("no curl and sh on this machine")
    script = str(EXAMPLES / f"{name}.sh")
    done = run(["sh", script, app_url, str(photo_file), *ARGUMENTS[name]], tmp_path)
    assert done.returncode == 0, done.stderr
    *files, facts = json.loads(done.stdout)
    check(name, facts)
    ours, other = (result.class_map for result in results)
    arrays = [fetched(app_url, one) for one in files]
    if name == "segment":
        np.testing.assert_array_equal(arrays[0], ours)
    if name == "compare":
        np.testing.assert_array_equal(arrays[1], ours)
        np.testing.assert_array_equal(arrays[2], other)


def fetched(url: str, file: dict[str, object]) -> np.ndarray:
    with urllib.request.urlopen(f"{url}/gradio_api/file={file['path']}") as answer:
        return np.asarray(Image.open(answer))


def test_curl_tells_an_error(app_url, photo_file, tmp_path):
    if shutil.which("curl") is None or shutil.which("sh") is None:
        pytest.skip("no curl and sh on this machine")
    script = str(EXAMPLES / "segment.sh")
    done = run(["sh", script, app_url, str(photo_file), "nonesuch"], tmp_path)
    assert done.returncode == 1
    assert "no model 'nonesuch' on this page" in done.stderr


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """A folder with `@gradio/client`: PIXELWISE_NODE_MODULES, or node_modules beside the app."""
    folder = Path(os.environ.get("PIXELWISE_NODE_MODULES", ROOT / "node_modules"))
    missing = None
    if shutil.which("node") is None:
        missing = "no node on this machine"
    elif not (folder / "@gradio" / "client").is_dir():
        missing = f"no @gradio/client in {folder} (npm install --no-save @gradio/client)"
    if missing and os.environ.get("PIXELWISE_REQUIRE_NODE"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    return folder.resolve()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_javascript(name, app_url, photo_file, tmp_path, expected, results, node_modules):
    # a module finds packages beside itself
    (tmp_path / "node_modules").symlink_to(node_modules, target_is_directory=True)
    shutil.copy(EXAMPLES / f"{name}.mjs", tmp_path)
    command = ["node", f"{name}.mjs", app_url, str(photo_file), *ARGUMENTS[name]]
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected[name]
    check_files(name, tmp_path, results)


# --- what the examples do not show -----------------------------------------------------------


@pytest.fixture(scope="module")
def client(app_url):
    return Client(app_url, verbose=False)


def test_the_answers_fit_their_schemas(client, photo_file, results):
    photo = handle_file(photo_file)
    facts = client.predict(photo, "", api_name="/segment")[2]
    check("segment", facts)
    check("probabilities", client.predict(photo, "", 0, 0, api_name="/probabilities"))
    *_, facts = client.predict(photo, "colour_net", OTHER, api_name="/compare")
    check("compare", facts)
    assert [one["model"] for one in facts["models"]] == [result.model for result in results]
    assert facts["models"][0]["miou"] is None  # nobody measured the tests' network
    card = segmentation.load(OTHER, device="cpu").model.card
    assert facts["models"][1]["miou"] == card.miou


def test_a_model_agrees_with_itself(client, photo_file):
    agree, first, second, facts = client.predict(
        handle_file(photo_file), "colour_net", "", api_name="/compare"
    )
    assert np.asarray(Image.open(agree)).min() == 255
    assert facts["agreement"] == facts["mean_iou"] == 1
    assert {one["name"]: one["iou"] for one in facts["classes"]} == dict.fromkeys(
        ("background", "cat", "dog", "person"), 1.0
    )
    assert Path(first).read_bytes() == Path(second).read_bytes()


@pytest.mark.parametrize(
    ("y", "x", "message"),
    [
        (128, 0, r"Pixel \(128, 0\) lies outside the photo: rows go from 0 to 127, columns from 0"),
        (0, -1, r"Pixel \(0, -1\) lies outside the photo"),
        (0.5, 0, r"Pixel \(0.5, 0\): row and column are whole numbers"),
        (None, 0, r"Pixel \(None, 0\): row and column are whole numbers"),
    ],
)
def test_a_pixel_that_the_photo_does_not_have_is_told(client, photo_file, y, x, message):
    with pytest.raises(AppError, match=message):
        client.predict(handle_file(photo_file), "", y, x, api_name="/probabilities")


@pytest.mark.parametrize(
    ("endpoint", "more"), [("/probabilities", ("nonesuch", 0, 0)), ("/compare", ("", "nonesuch"))]
)
def test_an_unknown_model_is_told(client, photo_file, endpoint, more):
    with pytest.raises(AppError, match="no model 'nonesuch' on this page"):
        client.predict(handle_file(photo_file), *more, api_name=endpoint)


def test_the_api_describes_itself(app_url):
    with urllib.request.urlopen(app_url + "/gradio_api/info") as answer:
        endpoints = json.load(answer)["named_endpoints"]
    assert list(endpoints) == ["/segment", "/probabilities", "/compare"]
    named = {
        name: [one["parameter_name"] for one in endpoint["parameters"]]
        for name, endpoint in endpoints.items()
    }
    assert named == {
        "/segment": ["image", "model"],
        "/probabilities": ["image", "model", "y", "x"],
        "/compare": ["image", "model_a", "model_b"],
    }
    returned = {
        name: [one["label"] for one in endpoint["returns"]] for name, endpoint in endpoints.items()
    }
    assert returned["/compare"] == ["agreement", "labels_a", "labels_b", "facts"]
    for name, endpoint in endpoints.items():
        assert f"docs/schema{name}.schema.json" in endpoint["description"]


def test_programs_are_let_in_by_the_scheduler_alone():
    from page.demo import build_demo
    from page.options import Options

    demo = build_demo(Options())
    limits = {fn.api_name: fn.concurrency_limit for fn in demo.fns.values()}
    assert [limits[name] for name in ARGUMENTS] == [None] * 3
