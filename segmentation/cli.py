"""The command line: photos in, label maps and overlays out, one JSON object a line."""

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from segmentation.cards import MAX_SIZE, MIN_SIZE
from segmentation.catalog import EMBEDDED, MODELS, local_weights
from segmentation.errors import PixelwiseError
from segmentation.images import open_photo
from segmentation.models import count_parameters
from segmentation.overlay import blend
from segmentation.palette import PALETTES, colorize, palette_from_card, write_indexed_png
from segmentation.precision import PRECISIONS
from segmentation.predictor import Segmenter, load

MAX_STEM_BYTES = 200  # names may have 255 bytes, and ours are longer than the photo's

DESCRIPTION = """\
Label every pixel of photos. For each PHOTO, writes <stem>_labels.png (an indexed PNG: the class of
each pixel, in the palette's colours) and <stem>_overlay.png into DIR, and prints one JSON object:
image, model, device, precision, height, width, seconds, classes, schema. A photo that cannot be
used is reported on standard error and the others go on; the exit status is then 1."""

EPILOG = """\
examples:
  python -m segmentation --list
  python -m segmentation cat.jpg dog.jpg --out labelled
  python -m segmentation street.jpg --model my_streets.pt2 --out labelled --size 768"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: instead of `sys.argv[1:]`.

    Returns:
        The exit status: 0 all well, 1 something failed, 2 (raised by argparse) wrong usage.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        return _print_models()
    if not options.photos:
        parser.error("name a photo, or --list")
    try:
        folder = Path(options.out)
        folder.mkdir(parents=True, exist_ok=True)
        segmenter = load(
            options.model,
            device=options.device,
            weights=options.weights,
            size=options.size,
            exact=options.exact,
            precision=options.precision,
        )
        palette = _palette(segmenter, options.palette)
    except PixelwiseError as error:
        return _complain(str(error))
    except OSError as error:
        return _complain(f"cannot make the folder {options.out!r}: {error.strerror or error}")
    if segmenter.note:
        _complain(f"note: {segmenter.note}")
    status = 0
    names = _Names(folder, options.photos)
    for photo in options.photos:
        try:
            line = _label(photo, segmenter, palette, names, options.alpha)
            print(json.dumps(line), flush=True)
        except BrokenPipeError:  # whoever read the lines has gone
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            return 1
        except PixelwiseError as error:
            status = _complain(f"{photo}: {error}")
        except OSError as error:
            status = _complain(f"{photo}: cannot write to {folder}: {error.strerror or error}")
        except MemoryError:
            status = _complain(f"{photo}: not enough memory; try a smaller --size")
    return status


def _label(
    photo: str,
    segmenter: Segmenter,
    palette: np.ndarray,
    names: "_Names",
    alpha: float,
) -> dict[str, object]:
    """Label one photo, write its two files, and return what is printed."""
    opened = open_photo(photo)
    for note in opened.notes:
        _complain(f"{photo}: note: {note}")
    result = segmenter.predict(opened)
    labels_path, overlay_path = names.of(photo)
    colors = colorize(result.class_map, palette)  # (H, W, 3) uint8
    overlay = io.BytesIO()
    Image.fromarray(blend(opened.image, colors, alpha)).save(overlay, "PNG", compress_level=1)
    _write(labels_path, write_indexed_png(result.class_map, palette))
    _write(overlay_path, overlay.getvalue())
    return {"image": photo, **result.to_json()}


class _Names:
    """Names for the files of each photo; none stands for two photos, none is itself a photo."""

    def __init__(self, folder: Path, photos: Sequence[str]) -> None:
        self._folder = folder
        self._taken: set[str] = set()
        self._photos = {Path(os.path.abspath(photo)) for photo in photos}

    def of(self, photo: str) -> tuple[Path, Path]:
        """Label map and overlay: the photo's stem, numbered where that is taken."""
        stem = os.fsdecode(os.fsencode(Path(photo).stem)[:MAX_STEM_BYTES])
        name, number = stem, 1
        while not self._is_free(name):
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name.casefold())
        return self._paths(name)

    def _paths(self, name: str) -> tuple[Path, Path]:
        return self._folder / f"{name}_labels.png", self._folder / f"{name}_overlay.png"

    def _is_free(self, name: str) -> bool:
        if name.casefold() in self._taken:  # some disks do not tell capitals apart
            return False
        return not any(Path(os.path.abspath(path)) in self._photos for path in self._paths(name))


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:50]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def _palette(segmenter: Segmenter, chosen: str | None) -> np.ndarray:
    card = segmenter.model.card
    return palette_from_card(chosen or card.palette, len(card.categories))


def _print_models() -> int:
    """The table of models: parameters, download, published mIoU, and where the weights are."""
    status = 0
    rows = [("name", "parameters", "download", "mIoU", "weights")]
    for name, spec in MODELS.items():
        try:
            path = local_weights(name)
            here = f"here: {path}" if path else ("to be downloaded" if spec.url else "")
        except PixelwiseError as error:
            here, status = "not known", status or _complain(str(error))
        if not here:
            here = "not in this copy" if name == EMBEDDED else "none published: --weights FILE"
        parameters = count_parameters(name)
        rows.append(
            (
                name,
                f"{parameters / 1e6:.1f} M" if parameters else "-",
                f"{spec.bytes / 1e6:.0f} MB" if spec.bytes else "-",
                f"{spec.miou:.1f}" if spec.miou else "-",
                here,
            )
        )
    rows.append(
        ("PATH.pt2", "-", "-", "-", "your own: torch.export program with a model.json card")
    )
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [row[i].rjust(widths[i]) for i in range(1, 4)]
        print("  ".join([*cells, row[4]]))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m segmentation",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help="a picture file")
    parser.add_argument(
        "--model",
        metavar="NAME_OR_PT2",
        help="a name from --list, or the path of an exported program (.pt2) with a model.json "
        "card; by default deeplabv3_resnet101 with CUDA, else deeplabv3_mobilenet_v3_large",
    )
    parser.add_argument(
        "--out", metavar="DIR", default=".", help="folder for the files (default: .)"
    )
    parser.add_argument(
        "--size",
        type=_size,
        metavar="N",
        help=f"shorter side in pixels that the network is shown, {MIN_SIZE} to {MAX_SIZE} "
        "(default: the model's own)",
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
    parser.add_argument(
        "--weights", metavar="FILE", help="a state dict (.pth) instead of the published weights"
    )
    parser.add_argument(
        "--alpha",
        type=_alpha,
        default=0.5,
        metavar="A",
        help="opacity of the overlay, 0 to 1 (default: 0.5)",
    )
    parser.add_argument(
        "--palette",
        choices=sorted(PALETTES),
        help="colours: voc, or safe for the colour-blind (default: the model's own)",
    )
    parser.add_argument("--list", action="store_true", help="list the models and where they are")
    return parser


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not MIN_SIZE <= int(text) <= MAX_SIZE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from {MIN_SIZE} to {MAX_SIZE}"
        )
    return int(text)


def _alpha(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _complain(message: str) -> int:
    """One line on standard error; returns the exit status that goes with it."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    print(line, file=sys.stderr, flush=True)  # a file's name may hold a terminal's commands
    return 1
