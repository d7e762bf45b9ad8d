"""Run the page from the command line.

`app.py` and the command `pixelwise` both start here. Importing this module has no effect.
"""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from page.demo import build_demo
from page.http.app_context import AppContext
from page.http.server import force_exit_later, set_up_logging, start, stop, wait_for_signal
from page.http.startup_checks import folder_error
from page.options import parse_options, parser
from page.storage.temp_files import own_folder
from segmentation import PixelwiseError

FIRST_PAGE_SECONDS = 1.0
"""Seconds that loading the model waits for the first visitor to get the page."""


def _warm_up(context: AppContext) -> None:
    """Start the decoder, load the first model and download its weights if they are missing."""
    context.first_page_served.wait(FIRST_PAGE_SECONDS)
    from segmentation.images.decoding.decoder_process import decoder

    decoder.start()
    context.demo.service.warm_up()
    context.demo.service.fetch_default()


@contextmanager
def running(program: str) -> Iterator[gr.Blocks]:
    """Start the page with the command line's options, and close it at the end of the block.

    Torch and the first model load in the background: the page is served first.

    Args:
        program: the command's name in `--help` and in errors.

    Yields:
        The running page. Exits with status 2 and one line if it cannot start, and with 130 if
        Ctrl-C is pressed before it has.
    """
    options = parse_options(program=program)
    set_up_logging(options.log_level)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(own_folder())
        except OSError as error:
            parser(program).exit(2, f"{program}: error: {folder_error(error)}\n")
        try:
            demo = build_demo(options)
            context = start(demo, options)
        except PixelwiseError as error:  # a device or a folder that is missing, a port in use
            parser(program).exit(2, f"{program}: error: {error}\n")
        except KeyboardInterrupt:
            parser(program).exit(130, f"{program}: stopped\n")
        threading.Thread(target=_warm_up, args=(context,), name="warm-up", daemon=True).start()
        yield demo
        force_exit_later()
        stop(context)


def main(program: str = "pixelwise") -> None:
    """Serve the page until a signal ends it.

    Args:
        program: see `running`.
    """
    with running(program):
        wait_for_signal()
