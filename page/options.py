"""The page's settings and its command line."""

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmentation.argument_types import bounded_float, bounded_int, existing_file
from segmentation.models.card import MAX_SIZE, MIN_SIZE

EPILOG = """\
examples:
  {command}                                  the page on http://127.0.0.1:7860
  {command} --model deeplabv3_resnet101      another network as the first choice
  {command} --model street.pt2               your own exported network, with its card
  {command} --host 0.0.0.0 --auth ana:secret for the local network, behind a password
  {command} --share --auth ana:secret        a public link for a week

Gradio's own environment variables (GRADIO_SERVER_NAME, GRADIO_SERVER_PORT, GRADIO_SHARE,
GRADIO_TEMP_DIR, ...) work as well; options on the command line win. Weights come from --weights,
the folder PIXELWISE_WEIGHTS, torch's hub cache, or a download; without any, the page uses the small
built-in model.
"""


@dataclass(frozen=True)
class Options:
    """The page's settings.

    Attributes:
        model: a name in `segmentation.MODELS`, "embedded", a `.pt2` file, or None for the default
            of the device.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        weights: a file of weights for `model`, or None to look for the published ones.
        size: shorter side of the network's input in pixels, or None for the model's own.
        precision: "float32", "auto", "bfloat16" or "float16"; see `segmentation.Segmenter`.
        compile: run networks through `torch.compile`.
        host, port: where to listen, or None for Gradio's defaults and environment variables.
        share: request a public link; None uses GRADIO_SHARE.
        auth: (user, password), or None for an open page.
        max_upload_mb: largest accepted upload in megabytes.
        max_megapixels: largest accepted image in megapixels.
        max_queue: photos that may wait.
        time_limit: limit in seconds for waiting, and for labelling a photo.
        live_seconds: a camera stops after this time.
        clip_seconds: longest accepted clip.
        keep_minutes: uploads and results are deleted after this time.
        cache_mb: limit for all uploads and results, in megabytes.
        embed: origins whose pages may show this one in a frame; "*" means any.
        behind_proxy: trust X-Forwarded-Host, -Proto and -Prefix.
        offer_downloads: let visitors of a shared page choose models that must be downloaded first.
        log_level: "error", "warning", "info" or "debug".
    """

    model: str | None = None
    device: str = "auto"
    weights: str | None = None
    size: int | None = None
    precision: str = "float32"
    compile: bool = False
    host: str | None = None
    port: int | None = None
    share: bool | None = None
    auth: tuple[str, str] | None = None
    max_upload_mb: float = 32.0
    max_megapixels: float = 64.0
    max_queue: int = 32
    time_limit: float = 120.0
    live_seconds: float = 120.0
    clip_seconds: float = 20.0
    keep_minutes: float = 60.0
    cache_mb: float = 512.0
    embed: tuple[str, ...] = ()
    behind_proxy: bool = False
    offer_downloads: bool = False
    log_level: str = "warning"

    @property
    def public(self) -> bool:
        """Whether the page is public: with a public link, or on Hugging Face Spaces."""
        return self.shared or on_a_space()

    @property
    def shared(self) -> bool:
        """Whether a public link is requested, by `share` or by GRADIO_SHARE."""
        if self.share is None:
            return os.environ.get("GRADIO_SHARE", "").lower() == "true"
        return self.share


def on_a_space() -> bool:
    """Return whether this process runs on Hugging Face Spaces."""
    return "SPACE_ID" in os.environ


# as in segmentation.inference.precision, which imports torch
PRECISIONS = ("float32", "auto", "bfloat16", "float16")
PUBLIC_LIMITS = {"max_upload_mb": 10.0, "max_megapixels": 24.0, "max_queue": 16}
"""Defaults of a public page."""
LOG_LEVELS = ("error", "warning", "info", "debug")
HUGGING_FACE = ("https://huggingface.co", "https://*.hf.space")


_POSITIVE = bounded_float(0, above=True)
_COUNT = bounded_int(1, 1000)  # each waiting photo takes two threads


def _auth(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError(f"{text!r} is not USER:PASSWORD")
    return user, password


def _model(text: str) -> str:
    from segmentation.models.registry import MODELS, unknown_model_message

    if Path(text).suffix.lower() == ".pt2":
        return existing_file(text)
    if text not in MODELS:
        raise argparse.ArgumentTypeError(unknown_model_message(text))
    return text


def _origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"https?://[\w*.-]+(:\d{1,5})?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not an origin like https://example.org or *")
    return text


def parser(program: str = "app.py") -> argparse.ArgumentParser:
    """Return the command line's parser.

    Args:
        program: the command's name in `--help` and in errors; a Python file or a console command.
    """
    default = Options()
    command = f"python {program}" if program.endswith(".py") else program
    parse = argparse.ArgumentParser(
        prog=program,
        description="Drag a photo into a page and see what a segmentation network sees in it, "
        "pixel by pixel.",
        epilog=EPILOG.format(command=command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_model(parse.add_argument_group("the network"), default)
    _add_server(parse.add_argument_group("the page"))
    _add_limits(parse.add_argument_group("limits"), default)
    return parse


def _add_model(model: argparse._ArgumentGroup, default: Options) -> None:
    model.add_argument(
        "--model",
        type=_model,
        metavar="NAME|FILE.pt2",
        help="the first choice: a name from `python -m segmentation --list`, or an exported "
        "program with its card (default: deeplabv3_resnet101 on CUDA, "
        "deeplabv3_mobilenet_v3_large elsewhere)",
    )
    model.add_argument(
        "--device",
        default=default.device,
        help="auto, cpu, cuda, cuda:N or mps (default: auto, the fastest available)",
    )
    model.add_argument(
        "--weights", type=existing_file, metavar="FILE", help="a file of weights for --model"
    )
    model.add_argument(
        "--size",
        type=bounded_int(MIN_SIZE, MAX_SIZE),
        metavar="PX",
        help="shorter side of the network's input; larger finds smaller things and takes longer "
        "(default: the size that the model was trained for)",
    )
    model.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=default.precision,
        help="auto: half precision if this machine supports it natively (about twice as fast) and "
        f"at least 99 %% of the pixels keep their label (default: {default.precision})",
    )
    model.add_argument(
        "--compile",
        action="store_true",
        help="run networks through torch.compile: faster, above all on a GPU, but the first photo "
        "of each size takes longer",
    )


def _add_server(server: argparse._ArgumentGroup) -> None:
    server.add_argument(
        "--host",
        help="address to listen on; 0.0.0.0 opens the page to the local network "
        "(default: this machine only)",
    )
    server.add_argument(
        "--port",
        type=bounded_int(1, 65535, "port"),
        help="port to listen on (default: the first free one from 7860)",
    )
    server.add_argument(
        "--share",
        action="store_true",
        default=None,
        help="request a public link from Gradio; use it with --auth",
    )
    server.add_argument(
        "--behind-proxy",
        action="store_true",
        default=None,
        help="trust X-Forwarded-Host, -Proto and -Prefix; use it only if every request comes "
        "through a proxy that sets them",
    )
    server.add_argument(
        "--offer-downloads",
        action="store_true",
        default=None,
        help="let visitors of a shared page choose models whose weights must be downloaded first "
        "(default: only on a page for this machine alone)",
    )
    server.add_argument(
        "--auth", type=_auth, metavar="USER:PASSWORD", help="require this user name and password"
    )


def _add_limits(limits: argparse._ArgumentGroup, default: Options) -> None:
    def add(name: str, kind: Callable[[str], object], metavar: str, text: str) -> None:
        field = name.removeprefix("--").replace("-", "_")
        value, tight = getattr(default, field), PUBLIC_LIMITS.get(field)
        shared = f", {tight:g} with --share and on Spaces" if tight else ""
        limits.add_argument(
            name, type=kind, metavar=metavar, help=f"{text} (default: {value:g}{shared})"
        )

    add("--max-upload-mb", _POSITIVE, "MB", "refuse larger files")
    add("--max-megapixels", _POSITIVE, "MP", "refuse larger images")
    add("--max-queue", _COUNT, "N", "photos that may wait; further ones are refused")
    add("--time-limit", _POSITIVE, "S", "limit for waiting, and for labelling a photo")
    add("--live-seconds", _POSITIVE, "S", "a camera stops after this time")
    add("--clip-seconds", _POSITIVE, "S", "refuse longer clips")
    add("--keep-minutes", _POSITIVE, "MIN", "delete uploads and results after this time")
    add("--cache-mb", _POSITIVE, "MB", "limit for uploads and results; deletes the oldest")
    limits.add_argument(
        "--embed",
        type=_origin,
        action="append",
        metavar="ORIGIN|*",
        help="let pages of this origin show the page in a frame; can be repeated "
        "(default: nobody; on Hugging Face Spaces, huggingface.co)",
    )
    limits.add_argument(
        "--log-level",
        choices=LOG_LEVELS,
        default=default.log_level,
        help="log level of standard error; only debug logs client addresses "
        f"(default: {default.log_level})",
    )


def parse_options(arguments: Sequence[str] | None = None, program: str = "app.py") -> Options:
    """Read the command line.

    Args:
        arguments: the arguments without the program's name; None reads `sys.argv`.
        program: the command's name in `--help` and in errors.

    Returns:
        The options. Exits with status 2 and a message if an argument is wrong.
    """
    return options_from(vars(parser(program).parse_args(arguments)))


def options_from(parsed: Mapping[str, Any]) -> Options:
    """Return the options for parsed arguments; None means not given."""
    given = {k: v for k, v in parsed.items() if v is not None}
    given["embed"] = tuple(given.get("embed", HUGGING_FACE if on_a_space() else ()))
    tight = PUBLIC_LIMITS if Options(share=given.get("share")).public else {}
    return Options(**{**tight, **given})
