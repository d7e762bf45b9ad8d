"""What `make test` says last where there is no browser."""

import os
import subprocess
import sys

import pytest

from helpers.server import ROOT

TESTS = """
def test_one(browser): pass
def test_other(page): pass
def test_without(): pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_last_line_counts_the_tests_without_a_browser(workers, tmp_path):
    (tmp_path / "test_some.py").write_text(TESTS)
    variables = {"PYTHONPATH": str(ROOT / "tests"), "PATH": "/nowhere", "CHROMIUM": ""}
    variables |= {"PIXELWISE_REQUIRE_BROWSER": ""}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-n", workers, "test_some.py"],
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    *_, summary, last = done.stdout.splitlines()
    assert "1 passed, 2 skipped" in summary, done.stdout + done.stderr
    assert (
        last == "2 browser tests were skipped: no Chromium on this machine (apt install chromium)"
    )


def test_with_a_browser_or_without_such_tests_it_says_nothing(tmp_path):
    (tmp_path / "test_some.py").write_text("def test_without(): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "test_some.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "1 passed" in done.stdout.splitlines()[-1], done.stdout + done.stderr
