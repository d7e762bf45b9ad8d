"""Define the options of `python -m segmentation`."""

import argparse

from segmentation.argument_types import bounded_float, bounded_int
from segmentation.inference.precision import PRECISIONS
from segmentation.models.card import MAX_SIZE, MIN_SIZE
from segmentation.palette import PALETTES

_DESCRIPTION = """\
Label every pixel of photos. For each PHOTO, writes <stem>_labels.png (an indexed PNG: the class of
each pixel, in the palette's colours) and <stem>_overlay.png into DIR, and prints one JSON object:
image, model, device, precision, height, width, seconds, classes, unsure, schema. A photo that
cannot be read is reported on standard error. The others continue, and the exit status is 1.

For a FOLDER, labels every photo below it, into the same subfolders of DIR. DIR/pixelwise.jsonl has
one JSON object for each finished photo, DIR/classes.csv the share of each class in each photo, and
DIR/failures.csv the photos that failed. You can stop at any time and run the same command again:
a finished photo is redone only if it, the model or an option changed. The exit status is 0 on
success, 1 if a photo failed, 130 after Ctrl-C."""

_EPILOG = """\
examples:
  python -m segmentation --list
  python -m segmentation cat.jpg dog.jpg --out labelled
  python -m segmentation street.jpg --model my_streets.pt2 --out labelled --size 768
  python -m segmentation holiday --out labelled --workers 2
  python -m segmentation /shared/holiday --out /shared/labelled --workers 16 --ray auto"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m segmentation`."""
    parser = argparse.ArgumentParser(
        prog="python -m segmentation",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "photos", nargs="*", metavar="PHOTO", help="photos, or one folder of photos"
    )
    parser.add_argument("--out", metavar="DIR", default=".", help="output folder (default: .)")
    _add_model_options(parser)
    _add_look_options(parser)
    _add_folder_options(parser)
    parser.add_argument(
        "--list", action="store_true", help="list the models and the paths of their weights"
    )
    return parser


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="NAME_OR_PT2",
        help="a name from --list, or the path of an exported program (.pt2) with a model.json "
        "card; by default deeplabv3_resnet101 with CUDA, else deeplabv3_mobilenet_v3_large",
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="a state dict (.pth) instead of the published weights"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--size",
        type=bounded_int(MIN_SIZE, MAX_SIZE),
        metavar="N",
        help=f"shorter side of the network's input in pixels, {MIN_SIZE} to {MAX_SIZE} "
        "(default: the model's own)",
    )
    shown.add_argument(
        "--sharper",
        action="store_true",
        help="average two input sizes, if the model's card lists them: sharper outlines, about "
        "three times the time (the built-in model supports it)",
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="D",
        help="auto, cpu, cuda, cuda:N or mps (default: auto)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="auto: half precision if this machine supports it natively (about twice as fast) and "
        "at least 99 %% of the pixels keep their label (default: float32)",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="run the published network unchanged: slower, with bit-exact results",
    )


def _add_look_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--alpha",
        type=bounded_float(0, 1),
        default=0.5,
        metavar="A",
        help="opacity of the overlay, 0 to 1 (default: 0.5)",
    )
    parser.add_argument(
        "--palette",
        choices=sorted(PALETTES),
        help="colours: voc, or safe for colour-blind people (default: the model's own)",
    )


def _add_folder_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for a folder")
    group.add_argument(
        "--workers",
        type=bounded_int(1, 10_000),
        metavar="N",
        help="processes that share the photos and the cores, each with its own network "
        "(default: 1)",
    )
    group.add_argument(
        "--threads",
        type=bounded_int(1, 10_000),
        metavar="T",
        help="cores per worker (default: an equal share). The same T on the same kind of processor "
        "gives identical files. With another T, rounding may change a pixel between two almost "
        "equally likely classes",
    )
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="distribute the photos over a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local "
        "for one on this machine. Needs pip install ray, Pixelwise on every node, and FOLDER, DIR "
        "and your own model files at the same paths on all nodes",
    )
