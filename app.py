"""Pixelwise: drag a photo into the page and see every pixel labelled.

`python app.py --help` tells what can be set. Importing this module builds the page as `demo` and
starts nothing: no server, no network, no weights.
"""

import contextlib
import threading
from pathlib import Path

import gradio as gr

from page import classroom, label_room, live_words, several_room, words
from page.address import no_folder
from page.blocks import Page
from page.crowd import LINE, Crowd, add_doors
from page.engine import Engine
from page.folder import own_folder
from page.guard import Site
from page.handlers import Handlers
from page.moving import Moving
from page.options import Options, parse_options, parser
from page.predictors import Predictors
from page.programs import Programs, add_endpoints
from page.server import force_exit_later, set_up_logging, start, stop, wait_for_signal
from page.several import Several
from segmentation import PixelwiseError

EXAMPLES = Path(__file__).parent / "examples"
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
                first = label_room.LabelRoom(engine, EXAMPLES)
            with gr.Tab(several_room.TITLE, id="several-photos-tab"):
                several = Several(engine, demo.GRADIO_CACHE, crowd)
                later = several_room.add_several(several, first.model, first.size, in_line)
            with gr.Tab(classroom.TITLE, id="classroom"):
                classroom.Classroom(
                    engine, demo=demo, rooms=rooms, key=key, photo=first.photo, examples=EXAMPLES
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
    site.demo.engine.warm_up()
    site.demo.engine.fetch_default()


def main() -> None:
    """Read the command line, open the page, get the first model ready, serve until told to end."""
    global demo
    options = parse_options()
    set_up_logging(options.log_level)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(own_folder())
        except OSError as error:
            parser().exit(2, f"app.py: error: {no_folder(error)}\n")
        try:
            demo = build_demo(options)
            site = start(demo, options)
        except PixelwiseError as error:  # a device or a folder that is not there, a port in use
            parser().exit(2, f"app.py: error: {error}\n")
        except KeyboardInterrupt:
            parser().exit(130, "app.py: stopped\n")
        threading.Thread(target=_warm_up, args=(site,), name="warm-up", daemon=True).start()
        wait_for_signal()
        force_exit_later()
        stop(site)


if __name__ == "__main__":
    main()
else:
    demo = build_demo(Options())
