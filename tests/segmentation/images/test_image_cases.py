"""Files of the trade beside a checkout, each with its right answer (see the README there)."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmentation.errors import ImageError
from segmentation.images.photo import open_photo

pytestmark = [pytest.mark.shared, pytest.mark.filterwarnings("ignore")]


def wrong_about(case: dict, root: Path) -> str | None:
    """What is wrong about a case; None where nothing is."""
    words = case.get("must_name") or case.get("or_error_naming") or []
    words = [words] if isinstance(words, str) else words
    try:
        shown = open_photo(root / "cases" / case["file"]).image.astype(int)
    except ImageError as error:
        text = str(error).replace(case["file"], "").lower()
        return None if any(word.lower() in text for word in words) else str(error)
    if case["expected"] != "picture":
        return "opened"
    with Image.open(root / case["picture"]) as picture:
        want = np.asarray(picture.convert("RGB")).astype(int)
    if shown.shape != want.shape:
        return f"is {shown.shape}, not {want.shape}"
    off = np.abs(shown - want)
    if off.max() > case["tolerance"] or off.mean() > case.get("mean_tolerance", 255):
        return f"off by {off.max()}, mean {off.mean():.1f}"
    return None


def test_every_stored_picture_is_right_or_refused_by_name(shared):
    root = shared / "cases"
    if not (root / "cases.json").is_file():
        pytest.skip("no cases there")
    cases = [
        case
        for case in json.loads((root / "cases.json").read_text())["cases"]
        if (root / "cases" / case["file"]).is_file()
        and not case["file"].endswith((".pt2", ".py", ".mp4"))
    ]
    assert len(cases) > 200
    wrong = {case["file"]: wrong_about(case, root) for case in cases}
    assert {name: why for name, why in wrong.items() if why} == {}
