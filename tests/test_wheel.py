"""The package that `pip install .` makes: whole, with nothing of ours beside its packages."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from helpers.server import ROOT, free_port
from page.tabs.examples import EXAMPLES, examples_folder

pytest.importorskip("setuptools", reason="building the package needs setuptools")

PACKAGES = ("segmentation", "viewer", "page", "deploy")
NOT_PACKAGED = {"deploy/README.md"}  # about running from a checkout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The package, built offline from a copy (a build leaves folders beside its sources)."""
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "runs")
    shutil.copytree(ROOT, folder / "source", ignore=unwanted)
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation"]
    run = subprocess.run(
        [*command, "--quiet", "--wheel-dir", str(folder)],
        cwd=folder / "source",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder as site-packages would have it; its dependencies come from this environment."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
    subprocess.run([*command, "--target", str(folder), str(wheel)], check=True, timeout=300)
    return folder


def environment(installed: Path, tmp_path: Path) -> dict[str, str]:
    """Variables with which the installed package comes before this checkout."""
    quiet = {"HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": str(tmp_path / "gradio")}
    return {**os.environ, **quiet, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "2"}


def files_below(folder: Path) -> list[str]:
    """The files of a folder, by their paths in it; what Python or a system left is not counted."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [
        path.as_posix()
        for path in paths
        if not any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    ]


def test_the_wheel_has_every_file_and_no_other(wheel):
    ours = {f"{top}/{name}" for top in PACKAGES for name in files_below(ROOT / top)}
    ours |= {f"page/example_photos/{name}" for name in files_below(ROOT / "examples")}
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == ours - NOT_PACKAGED


def test_only_packages_go_into_site_packages(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in tops if not name.endswith(".dist-info")} == set(PACKAGES)


def test_the_examples_are_found_in_a_checkout():
    assert examples_folder() == ROOT / "examples"
    assert all((examples_folder() / example.file).is_file() for example in EXAMPLES)


def test_the_page_on_installing_names_the_command_that_the_package_brings(wheel):
    archive = zipfile.ZipFile(wheel)
    (points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert archive.read(points).decode().split() == [
        "[console_scripts]",
        "pixelwise",
        "=",
        "page.__main__:main",
    ]
    assert "pixelwise --model embedded" in (ROOT / "docs" / "install.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.slow
def test_the_command_serves_the_page_from_another_folder(installed, tmp_path):
    port = free_port()
    command = [sys.executable, str(installed / "bin" / "pixelwise"), "--model", "embedded"]
    log = tmp_path / "log"
    with log.open("wb") as out:
        page = subprocess.Popen(
            [*command, "--device", "cpu", "--port", str(port)],
            cwd=tmp_path,
            env=environment(installed, tmp_path),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        config = wait_for_config(page, f"http://127.0.0.1:{port}", log)
        assert all(example.title in config for example in EXAMPLES)
        assert str(ROOT) not in config  # nothing of the checkout
        client = Client(f"http://127.0.0.1:{port}", verbose=False, download_files=str(tmp_path))
        photo = installed / "page" / "example_photos" / "astronaut.jpg"
        facts = client.predict(handle_file(photo), "embedded", api_name="/segment")[2]
        assert "person" in {found["name"] for found in facts["classes"]}
    finally:
        page.terminate()
        page.wait(30)
    assert page.returncode == 0, log.read_text()


def wait_for_config(page: "subprocess.Popen[bytes]", url: str, log: Path) -> str:
    end = time.monotonic() + 120
    while page.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url + "/config", timeout=5) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"the page did not serve:\n{log.read_text()[-4000:]}")


@pytest.mark.slow
def test_the_command_line_labels_from_another_folder(installed, tmp_path):
    photo = installed / "page" / "example_photos" / "chelsea.jpg"
    words = [str(photo), "--model", "embedded", "--device", "cpu", "--out", "labels"]
    run = subprocess.run(
        [sys.executable, "-m", "segmentation", *words],
        cwd=tmp_path,
        env=environment(installed, tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert "cat" in {found["name"] for found in json.loads(run.stdout)["classes"]}
    assert (tmp_path / "labels" / "chelsea_labels.png").is_file()


@pytest.mark.slow
def test_the_command_explains_itself_and_errs_under_its_own_name(installed, tmp_path):
    def pixelwise(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(installed / "bin" / "pixelwise"), *words],
            cwd=tmp_path,
            env=environment(installed, tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
        )

    shown = pixelwise("--help").stdout
    assert "\n  pixelwise --share --auth ana:secret" in shown
    assert "app.py" not in shown
    wrong = pixelwise("--device", "cuda:7")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("pixelwise: error: ")
