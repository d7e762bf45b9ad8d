from argparse import ArgumentTypeError

import pytest

from page.options import Options, parse_options, parser
from segmentation.argument_types import bounded_float, bounded_int


def test_no_words_give_the_defaults():
    assert parse_options([]) == Options()


def test_every_option_arrives(tmp_path):
    weights = tmp_path / "w.pth"
    weights.touch()
    options = parse_options(
        f"--model fcn_resnet50 --device cpu --weights {weights} --size 390 --host 0.0.0.0 "
        "--port 8123 --share --auth ana:se:cret --max-upload-mb 5.5 --max-megapixels 9 "
        "--max-queue 7 --time-limit 30 --keep-minutes 5 --cache-mb 100 --log-level debug "
        "--embed https://example.org --embed http://localhost:3000".split()
    )
    assert options == Options(
        model="fcn_resnet50",
        device="cpu",
        weights=str(weights),
        size=390,
        host="0.0.0.0",
        port=8123,
        share=True,
        auth=("ana", "se:cret"),
        max_upload_mb=5.5,
        max_megapixels=9.0,
        max_queue=7,
        time_limit=30.0,
        keep_minutes=5.0,
        cache_mb=100.0,
        embed=("https://example.org", "http://localhost:3000"),
        log_level="debug",
    )


def test_a_shared_page_has_tighter_limits_unless_told_otherwise(monkeypatch):
    options = parse_options(["--share", "--max-megapixels", "50"])
    assert (options.max_upload_mb, options.max_megapixels, options.max_queue) == (10, 50, 16)
    monkeypatch.setenv("GRADIO_SHARE", "True")
    options = parse_options([])
    assert options.shared
    assert (options.max_upload_mb, options.max_megapixels, options.max_queue) == (10, 24, 16)


def test_on_a_space_hugging_face_may_frame_the_page(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "ana/pixelwise")
    assert parse_options([]).embed == ("https://huggingface.co", "https://*.hf.space")
    assert parse_options(["--embed", "*"]).embed == ("*",)


def test_on_a_space_the_limits_are_those_for_strangers(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "ana/pixelwise")
    options = parse_options(["--max-queue", "5"])
    assert options.public
    assert not options.shared  # there is no link to ask for
    assert (options.max_upload_mb, options.max_megapixels, options.max_queue) == (10, 24, 5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--auth nobody", "'nobody' is not USER:PASSWORD"),
        ("--size 9", "'9' is not a whole number from"),
        ("--size big", "'big' is not a whole number from"),
        ("--port 70000", "'70000' is not a port from 1 to 65535"),
        ("--max-upload-mb 0", "'0' is not a number above 0"),
        ("--max-upload-mb nan", "'nan' is not a number above 0"),
        ("--max-queue 0", "'0' is not a whole number from 1 to 1000"),
        ("--time-limit never", "'never' is not a number above 0"),
        ("--embed example.org", "'example.org' is not an origin like https://example.org or *"),
        ("--embed https://a.org;script-src", "is not an origin"),
        ("--model nonesuch", "there is no model 'nonesuch'"),
        ("--model /no/such.pt2", "no file at '/no/such.pt2'"),
        ("--weights /no/such/file", "no file at '/no/such/file'"),
    ],
)
def test_a_wrong_value_is_named(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_options(words.split())
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_help_names_every_option_and_the_defaults():
    text = parser().format_help()
    for option in [
        "model",
        "device",
        "weights",
        "size",
        "precision",
        "compile",
        "host",
        "port",
        "share",
        "auth",
        "max-upload-mb",
        "max-megapixels",
        "max-queue",
        "time-limit",
        "keep-minutes",
        "cache-mb",
        "embed",
        "log-level",
    ]:
        assert f"--{option}" in text
    assert "PIXELWISE_WEIGHTS" in text
    assert "GRADIO_SERVER_PORT" in text
    assert "(default: 32, 10 with --share and on Spaces)" in " ".join(text.split())


@pytest.mark.parametrize(
    ("read", "good", "bad", "message"),
    [
        (bounded_int(1, 10), ["1", "10", "007"], ["0", "11", "-1", "1.5", "٣", "", "9" * 5000],
         "from 1 to 10"),
        (bounded_int(1), ["1", "123456"], ["0", "x"], "is not a whole number from 1"),
        (bounded_float(0, 1), ["0", "1", "0.5"], ["-0.1", "1.1", "nan", "inf", "x"], "from 0 to 1"),
        (bounded_float(0, above=True), ["0.1", "1e9"], ["0", "-1", "inf", "nan"], "above 0"),
    ],
)  # fmt: skip
def test_numbers_in_bounds(read, good, bad, message):
    for text in good:
        assert read(text) == float(text)
    for text in bad:
        with pytest.raises(ArgumentTypeError, match=message):
            read(text)
