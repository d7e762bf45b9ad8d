"""What the command line takes."""

import argparse

from segmentation.argument_types import bounded_float, bounded_int
from segmentation.inference.precision import PRECISIONS
from segmentation.models.card import MAX_SIZE, MIN_SIZE
from segmentation.palette import PALETTES

_DESCRIPTION = """\
Label every pixel of photos. For each PHOTO, writes <stem>_labels.png (an indexed PNG: the class of
each pixel, in the palette's colours) and <stem>_overlay.png into DIR, and prints one JSON object:
image, model, device, precision, height, width, seconds, classes, unsure, schema. A photo that
cannot be used is reported on standard error and the others go on; the exit status is then 1.

For a FOLDER, does so for every picture below it, in the same folders below DIR. DIR/pixelwise.jsonl
has one JSON object for each photo that is done, DIR/classes.csv the share of each class in each
photo, DIR/failures.csv what could not be used. Stop it when you like: the same command goes on
where it was, and does anew only what has changed: the photo, the model or an option. The exit
status is 0 if all is well, 1 if a photo failed, 130 after Ctrl-C."""

_EPILOG = """\
examples:
  python -m segmentation --list
  python -m segmentation cat.jpg dog.jpg --out labelled
  python -m segmentation street.jpg --model my_streets.pt2 --out labelled --size 768
  python -m segmentation holiday --out labelled --workers 2
  python -m segmentation /shared/holiday --out /shared/labelled --workers 16 --ray auto"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of `python -m segmentation`."""
    parser = argparse.ArgumentParser(
        prog="python -m segmentation",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "photos", nargs="*", metavar="PHOTO", help="picture files, or one folder of them"
    )
    parser.add_argument(
        "--out", metavar="DIR", default=".", help="folder for the files (default: .)"
    )
    _add_model_options(parser)
    _add_look_options(parser)
    _add_folder_options(parser)
    parser.add_argument("--list", action="store_true", help="list the models and where they are")
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
        help=f"shorter side in pixels that the network is shown, {MIN_SIZE} to {MAX_SIZE} "
        "(default: the model's own)",
    )
    shown.add_argument(
        "--sharper",
        action="store_true",
        help="average two sizes, where the model's card has measured that: sharper outlines, about "
        "three times the time (the built-in model has it)",
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
        help="auto: half precision where this machine has it natively (about twice as fast) and "
        "at least 99 %% of the pixels keep their label (default: float32)",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="run the published network as it is: slower, and its numbers bit for bit",
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
        help="colours: voc, or safe for the colour-blind (default: the model's own)",
    )


def _add_folder_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for a folder")
    group.add_argument(
        "--workers",
        type=bounded_int(1, 10_000),
        metavar="N",
        help="processes that share the photos and the cores, each with a network of its own "
        "(default: 1)",
    )
    group.add_argument(
        "--threads",
        type=bounded_int(1, 10_000),
        metavar="T",
        help="cores that each worker computes with (default: its share of them). The files are the "
        "same to the byte for the same T on the same kind of processor; for another T, rounding "
        "may tip a pixel between two classes that are as good as equal",
    )
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="share the photos over a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local for "
        "one on this machine; needs pip install ray, here and on every node Pixelwise, "
        "and FOLDER, DIR and files of your own at the same paths on all of them",
    )
