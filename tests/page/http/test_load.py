"""The clients of `benchmarks.server.load` in short form; they contact no other host."""

import argparse
import sys

import pytest

from benchmarks.server.load import crowd, growth, load_report, main, rows_of


def options(**changes):
    given = {"requests": 30, "minutes": 1.0, "visitors": 10, "seed": 3}
    return argparse.Namespace(**{**given, "largest": 480, **changes})


def test_a_mixed_crowd_loses_nothing(app):
    tally, seconds = crowd(app.url, options(), None)
    assert sum(tally.outcomes.values()) == 30
    allowed = {
        "good: labelled",
        "good: asked to come back",
        "slow: labelled",
        "slow: asked to come back",
        "bad: refused with a message",
        "bad: asked to come back",
        "leaves: disconnected",
        "looks: seen",
    }
    assert set(tally.outcomes) <= allowed
    kinds = {name.split(":")[0] for name in tally.outcomes}
    assert "good" in kinds  # clients are drawn at random, and their number depends on the machine
    assert len(kinds) >= 3
    assert not [code for code in tally.statuses if code >= 400]
    text = load_report({"command": "", "rows": rows_of(tally, seconds) | {"machine": "this one"}})
    assert "| lost | 0 |" in text
    assert "| responses with 5xx | 0 |" in text
    assert "| machine | this one |" in text


def test_growth_compares_the_end_with_a_warm_start():
    steady = [(float(n), 100.0 if n < 20 else 200.0) for n in range(100)]
    assert growth(steady) == "200 MB after warm-up, 200 MB at the end (+0.0%)"
    assert growth(steady[:5]) == "too short to tell"


def test_no_other_machine_is_visited(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["load", "--url", "http://192.0.2.1/"])
    assert main() == 2
    assert "is another machine" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--requests", "1000000"], ["--minutes", "600"]])
def test_the_crowd_is_bounded(words, monkeypatch, capsys):
    from benchmarks.server.load import parse

    monkeypatch.setattr(sys, "argv", ["load", *words])
    with pytest.raises(SystemExit):
        parse()
    assert "is not a" in capsys.readouterr().err
