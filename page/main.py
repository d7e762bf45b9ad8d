"""Run the page from a command line.

`app.py` and the command `pixelwise` both start here. Importing this module starts nothing.
"""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from page.demo import build_demo
from page.http.middleware import AppContext
from page.http.server import force_exit_later, set_up_logging, start, stop, wait_for_signal
from page.http.startup_checks import no_folder
from page.options import parse_options, parser
from page.storage.temp_files import own_folder
from segmentation import PixelwiseError

FIRST_PAGE_SECONDS = 1.0
"""How long getting the model ready waits for somebody to look at the page."""


def _warm_up(site: AppContext) -> None:
    """Load the first model, behind the page, and fetch the default's weights if need be."""
    site.seen.wait(FIRST_PAGE_SECONDS)
    from segmentation.images.decoding.decoder_process import decoder

    decoder.start()
    site.demo.service.warm_up()
    site.demo.service.fetch_default()


@contextmanager
def running(program: str) -> Iterator[gr.Blocks]:
    """Start the page as the command line asks, and close it at the end of the block.

    Torch and the first model load in the background: the page is served first.

    Args:
        program: the command's name in `--help` and in errors.

    Yields:
        The page, being served. Exits with status 2 and one line where it cannot start, and with
        130 where Ctrl-C comes before.
    """
    options = parse_options(program=program)
    set_up_logging(options.log_level)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(own_folder())
        except OSError as error:
            parser(program).exit(2, f"{program}: error: {no_folder(error)}\n")
        try:
            demo = build_demo(options)
            site = start(demo, options)
        except PixelwiseError as error:  # a device or a folder that is missing, a port in use
            parser(program).exit(2, f"{program}: error: {error}\n")
        except KeyboardInterrupt:
            parser(program).exit(130, f"{program}: stopped\n")
        threading.Thread(target=_warm_up, args=(site,), name="warm-up", daemon=True).start()
        yield demo
        force_exit_later()
        stop(site)


def main(program: str = "pixelwise") -> None:
    """Serve the page until a signal ends it.

    Args:
        program: see `running`.
    """
    with running(program):
        wait_for_signal()
