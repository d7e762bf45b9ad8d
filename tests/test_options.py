import pytest

from page.options import Options, parse_options, parser


def test_no_words_give_the_defaults():
    assert parse_options([]) == Options()


def test_every_option_arrives(tmp_path):
    weights = tmp_path / "w.pth"
    weights.touch()
    options = parse_options(
        f"--model fcn_resnet50 --device cpu --weights {weights} --size 390 --host 0.0.0.0 "
        "--port 8123 --share --auth ana:se:cret --max-upload-mb 5.5 --max-megapixels 9".split()
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
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--auth nobody", "'nobody' is not USER:PASSWORD"),
        ("--size 9", "'9' is not a whole number from"),
        ("--size big", "'big' is not a whole number from"),
        ("--port 70000", "'70000' is not a port from 1 to 65535"),
        ("--max-upload-mb 0", "'0' is not a number above 0"),
        ("--max-upload-mb nan", "'nan' is not a number above 0"),
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
        "host",
        "port",
        "share",
        "auth",
        "max-upload-mb",
    ]:
        assert f"--{option}" in text
    assert "PIXELWISE_WEIGHTS" in text
    assert "GRADIO_SERVER_PORT" in text
    assert "(default: 32)" in text
