"""What a person can set on the command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EPILOG = """\
examples:
  python app.py                                  the page on http://127.0.0.1:7860
  python app.py --model deeplabv3_resnet101      another network as the first choice
  python app.py --model street.pt2               your own exported network, with its card
  python app.py --host 0.0.0.0 --auth ana:secret for the local network, behind a password
  python app.py --share --auth ana:secret        a public link for a week

Gradio's own environment variables (GRADIO_SERVER_NAME, GRADIO_SERVER_PORT, GRADIO_SHARE,
GRADIO_TEMP_DIR, ...) work as well; an option given here wins. Weights come from --weights, the
folder PIXELWISE_WEIGHTS, torch's hub cache, or a download; with none of them the small built-in
model answers.
"""


@dataclass(frozen=True)
class Options:
    """The page's settings.

    Attributes:
        model: a name in `segmentation.MODELS`, "embedded", a `.pt2` file, or None for the default
            of the device.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        weights: a file of weights for `model`, or None to look for the published ones.
        size: the shorter side in pixels that the network sees, or None for the model's own.
        host, port: where to listen, or None for Gradio's defaults and environment variables.
        share: ask for a public link; None leaves it to GRADIO_SHARE.
        auth: (user, password), or None for an open page.
        max_upload_mb: largest accepted upload in megabytes.
        max_megapixels: largest accepted picture in megapixels.
    """

    model: str | None = None
    device: str = "auto"
    weights: str | None = None
    size: int | None = None
    host: str | None = None
    port: int | None = None
    share: bool | None = None
    auth: tuple[str, str] | None = None
    max_upload_mb: float = 32.0
    max_megapixels: float = 64.0


def _auth(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError(f"{text!r} is not USER:PASSWORD")
    return user, password


def _size(text: str) -> int:
    from segmentation.predictor import MAX_SIZE, MIN_SIZE

    if not text.isdecimal() or not MIN_SIZE <= int(text) <= MAX_SIZE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from {MIN_SIZE} to {MAX_SIZE}"
        )
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _existing(text: str) -> str:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"no file at {text!r}")
    return text


def parser() -> argparse.ArgumentParser:
    """The command line's parser."""
    default = Options()
    parse = argparse.ArgumentParser(
        prog="app.py",
        description="Drag a photo into a page and see what a segmentation network sees in it, "
        "pixel by pixel.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model = parse.add_argument_group("the network")
    model.add_argument(
        "--model",
        metavar="NAME|FILE.pt2",
        help="the first choice: a name from `python -m segmentation --list`, or an exported "
        "program with its card (default: deeplabv3_resnet101 on CUDA, "
        "deeplabv3_mobilenet_v3_large elsewhere)",
    )
    model.add_argument(
        "--device",
        default=default.device,
        help="auto, cpu, cuda, cuda:N or mps (default: auto, the best one here)",
    )
    model.add_argument(
        "--weights", type=_existing, metavar="FILE", help="a file of weights for --model"
    )
    model.add_argument(
        "--size",
        type=_size,
        metavar="PX",
        help="the photo's shorter side as the network sees it; larger finds smaller things and "
        "takes longer (default: the size the model was trained for)",
    )
    server = parse.add_argument_group("the page")
    server.add_argument(
        "--host",
        help="address to listen on; 0.0.0.0 opens the page to the local network "
        "(default: this machine only)",
    )
    server.add_argument(
        "--port", type=_port, help="port to listen on (default: the first free one from 7860)"
    )
    server.add_argument(
        "--share",
        action="store_true",
        default=None,
        help="ask Gradio for a public link; use it with --auth",
    )
    server.add_argument(
        "--auth", type=_auth, metavar="USER:PASSWORD", help="ask visitors for this name and word"
    )
    server.add_argument(
        "--max-upload-mb",
        type=_positive,
        default=default.max_upload_mb,
        metavar="MB",
        help=f"refuse larger files (default: {default.max_upload_mb:g})",
    )
    server.add_argument(
        "--max-megapixels",
        type=_positive,
        default=default.max_megapixels,
        metavar="MP",
        help=f"refuse larger pictures (default: {default.max_megapixels:g})",
    )
    return parse


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line.

    Args:
        arguments: the words after the program's name; None reads `sys.argv`.

    Returns:
        The options. Exits with status 2 and a line of explanation where one is wrong.
    """
    return Options(**vars(parser().parse_args(arguments)))
