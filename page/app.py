"""Build the page from its parts, and run it from a command line.

`app.py` and the command `pixelwise` both start here. Importing this module starts nothing.
"""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from segmentation import PixelwiseError

from . import classroom, label_room, live_words, several_room, words
from .address import no_folder
from .blocks import Page
from .crowd import LINE, Crowd, add_doors
from .engine import Engine
from .examples import examples_folder
from .folder import own_folder
from .guard import Site
from .handlers import Handlers
from .moving import Moving
from .options import Options, parse_options, parser
from .predictors import Predictors
from .programs import Programs, add_endpoints
from .server import force_exit_later, set_up_logging, start, stop, wait_for_signal
from .several import Several

FIRST_PAGE_SECONDS = 1.0
"""How long getting the model ready waits for somebody to look at the page."""


def build_demo(options: Options, predictors: Predictors | None = None) -> gr.Blocks:
    """The page.

    Args:
        options: what was set on the command line.
        predictors: what labels the photos: None for networks in this process; `deploy` hands over
            networks on other machines.

    Returns:
        Blocks that wait for `launch()` or `gr.mount_gradio_app()`.
    """
    photos = examples_folder()
    engine = Engine(options, predictors)
    with Page(title=words.TITLE, analytics_enabled=False) as demo:
        crowd = Crowd(engine.line, options.max_queue, options.time_limit)
        handlers = Handlers(engine, demo.GRADIO_CACHE, crowd)
        in_line = {
            "concurrency_id": LINE,
            "concurrency_limit": options.max_queue + engine.line.width,
        }
        gr.HTML(words.MASTHEAD, elem_id="masthead")
        key = gr.State("")
        with gr.Tabs(elem_id="rooms") as rooms:
            with gr.Tab(label_room.TITLE, id="label"):
                first = label_room.LabelRoom(engine, photos)
            with gr.Tab(several_room.TITLE, id="several-photos-tab"):
                several = Several(engine, demo.GRADIO_CACHE, crowd)
                later = several_room.add_several(several, first.model, first.size, in_line)
            with gr.Tab(classroom.TITLE, id="classroom"):
                classroom.Classroom(
                    engine, demo=demo, rooms=rooms, key=key, photo=first.photo, examples=photos
                )
            with gr.Tab(live_words.TITLE, id="live"):
                moving = Moving(engine, demo=demo, crowd=crowd)
                demo.live, demo.clips = moving.live, moving.clips
        first.listen(handlers, key, in_line)
        demo.unload(handlers.leave)
        demo.engine, demo.crowd = engine, crowd
        demo.hidden = engine.hidden
        later |= add_endpoints(Programs(engine, demo.GRADIO_CACHE, crowd), in_line)
        demo.doors = add_doors(demo, {"label": handlers.label_later, **later})
    return demo


def _warm_up(site: Site) -> None:
    """Load the first model, behind the page, and fetch the default's weights if need be."""
    site.seen.wait(FIRST_PAGE_SECONDS)
    from segmentation.image_process import decoder

    decoder.start()
    site.demo.engine.warm_up()
    site.demo.engine.fetch_default()


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


def main() -> None:
    """Run the command `pixelwise`: serve the page until a signal ends it."""
    with running("pixelwise"):
        wait_for_signal()
