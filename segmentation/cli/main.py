"""Run `python -m segmentation`: label photos, write files, print one JSON object per photo."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segmentation.batch.run import INTERRUPTED, label_folder
from segmentation.batch.settings import BatchSettings
from segmentation.cli.model_table import print_models
from segmentation.cli.options import make_parser
from segmentation.console import print_error
from segmentation.errors import PixelwiseError
from segmentation.export.files import check_writable, chosen_palette, encode_outputs, write_atomic
from segmentation.export.names import OutputNames, paths_of
from segmentation.export.records import result_facts
from segmentation.images.decoding.decoder_process import decoder
from segmentation.images.photo import open_photo
from segmentation.inference.segmenter import Segmenter, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: command-line arguments; None for `sys.argv[1:]`.

    Returns:
        The exit status: 0 on success, 1 if something failed, 2 (raised by argparse) for wrong
        usage, 130 after Ctrl-C.
    """
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        print_error("Stopped.")
        return INTERRUPTED


def _main(arguments: Sequence[str] | None) -> int:
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.list:
        return print_models()
    if not options.photos:
        parser.error("give a photo, or --list")
    if any(os.path.isdir(photo) for photo in options.photos):
        if len(options.photos) > 1:
            parser.error("give photos, or a single folder")
        return label_folder(
            Path(options.photos[0]),
            Path(options.out),
            BatchSettings.of(options),
            workers=options.workers or 1,
            threads=options.threads,
            ray=options.ray,
        )
    if options.workers or options.threads or options.ray:
        parser.error("--workers, --threads and --ray work only with a folder: give one")
    return _label_photos(options)


def _label_photos(options: argparse.Namespace) -> int:
    """Label the given photos one by one, and return the exit status."""
    try:
        folder = Path(options.out)
        check_writable(folder)
        decoder.start()  # while the model loads
        segmenter = load(
            options.model,
            device=options.device,
            weights=options.weights,
            size=options.size,
            sharper=options.sharper,
            exact=options.exact,
            precision=options.precision,
        )
        palette = chosen_palette(segmenter, options.palette)
    except PixelwiseError as error:
        return print_error(str(error))
    except OSError as error:
        return print_error(f"cannot write to the folder {options.out!r}: {error.strerror or error}")
    if segmenter.note:
        print_error(f"note: {segmenter.note}")
    status = 0
    names = OutputNames(folder, options.photos)
    for number, photo in enumerate(options.photos):
        try:
            record = _label(photo, segmenter, palette, options.alpha, folder, names)
            print(json.dumps(record), flush=True)
        except BrokenPipeError:  # the reader of standard output has exited
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            return 1
        except KeyboardInterrupt:
            print_error(f"Stopped. {number} of {len(options.photos)} photos are finished.")
            return INTERRUPTED
        except PixelwiseError as error:
            status = print_error(f"{photo}: {error}")
        except OSError as error:
            status = print_error(f"{photo}: cannot write to {folder}: {error.strerror or error}")
        except MemoryError:
            status = print_error(f"{photo}: not enough memory; try a smaller --size")
    return status


def _label(
    photo: str,
    segmenter: Segmenter,
    palette: np.ndarray,
    alpha: float,
    folder: Path,
    names: OutputNames,
) -> dict[str, object]:
    """Label one photo, write its two files, and return the JSON object to print."""
    opened = open_photo(photo)
    for note in opened.notes:
        print_error(f"{photo}: note: {note}")
    result = segmenter.predict(opened)
    files = encode_outputs(opened.image, result.class_map, palette, alpha)
    for path, data in zip(paths_of(folder, names.assign(photo)), files, strict=True):
        write_atomic(path, data)
    return {"image": photo, **result_facts(result)}
