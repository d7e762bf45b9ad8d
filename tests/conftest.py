"""Fixtures that more than one test file uses."""

import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("PIXELWISE_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with a real model and real photos, where a checkout has one beside it."""
    if not (SHARED / "models").is_dir():
        pytest.skip(f"no real model and photos at {SHARED} (set PIXELWISE_SHARED)")
    return SHARED


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded source of random numbers."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tiny_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.pt2` file whose answer is visible in the photo; see `tiny.py`."""
    from tiny import save_program

    return save_program(tmp_path_factory.mktemp("program") / "colour_net.pt2")
