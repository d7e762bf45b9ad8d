"""The benchmark of postprocessing on real logits: both ways give one answer; no time is judged."""

import json
import sys

import numpy as np
import pytest

import segmentation
from benchmarks import stages
from benchmarks.output import EXAMPLES
from benchmarks.real_logits import RANDOM, decide_all, shortcuts_report
from segmentation.postprocess import decide

SIZE = (1800, 1700)  # the least that the shortcuts are taken for has 3 megapixels


@pytest.mark.parametrize("photo", ["rocket.jpg", "coffee.jpg"])
def test_the_shortcuts_change_no_label_on_real_logits(photo):
    logits = segmentation.load("embedded", device="cpu").logits(EXAMPLES / photo)
    expected, found = decide_all(logits, SIZE), decide(logits, SIZE)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[2], expected[2])
    np.testing.assert_allclose(found[1], expected[1], atol=4e-6)
    assert len(np.unique(found[0])) > 1  # there is something to decide


def test_gains_are_of_the_quickest_runs_and_of_real_logits_alone():
    def row(model: str, photo: str, quick: list[float], slow: list[float]) -> dict[str, object]:
        times = {
            way: {"decide": [2 * v for v in values], "processor": values}
            for way, values in (("shortcuts", quick), ("all", slow))
        }
        return {"model": model, "photo": photo, "logits": [2, 3, 4], **times}

    rows = [
        row(RANDOM, "a", [0.1], [0.9]),
        row("m", "a", [0.2, 9], [9, 0.3]),
        row("m", "b", [0.4], [0.3]),
    ]
    text = shortcuts_report(rows)
    assert "On real logits the shortcuts gain 0.75x to 1.50x." in text
    assert "| m | b | 2 x 3 x 4 | 800 (800 to 800) | 600 (600 to 600) | 0.75x |" in text


@pytest.mark.slow
def test_stages_in_their_smallest_form(tmp_path, monkeypatch, capsys, one_thread):
    monkeypatch.setattr("benchmarks.real_logits.SHARED", tmp_path)
    file = tmp_path / "stages.json"
    words = ["--runs", "1", "--most", "1", "--size", "300", "400", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["stages", *words])
    stages.main()
    values = json.loads(file.read_bytes())
    assert list(values["times"]) == ["article", "preset", "exact", "default", "page"]
    assert [(row["model"], row["photo"]) for row in values["shortcuts"]] == [
        (RANDOM, "astronaut.jpg"),
        ("embedded", "astronaut.jpg"),
    ]
    assert "| ours, default: what the page shows |" in capsys.readouterr().out
