"""Starts the page for people one does not know, and ends it in order."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from page import gradio_internals
from page.http.camera_routes import live_routes
from page.http.link_preview import LinkPreviewMiddleware, preview_route
from page.http.middleware import AccessMiddleware, AppContext, protect
from page.http.startup_checks import check_address, check_folder
from page.options import Options, on_a_space
from page.requests.locality import is_alone
from page.service import error_log
from page.storage.temp_files import TempFileCleaner
from page.theme import looks

if TYPE_CHECKING:
    import gradio as gr

SWEEP_SECONDS = 20.0
LAST_SECONDS = 4.0
"""How long photos that are being labelled when the page is closed may take."""
DEADLINE_SECONDS = 9.0
SPARE_THREADS = 64
GZIP_LEVEL = 6
MAX_SESSIONS = 256
"""Visitors whose state Gradio keeps, about 0.2 MB each; those seen least lately leave first."""

log = logging.getLogger(__name__)


def make_site(demo: "gr.Blocks", options: Options) -> AppContext:
    """What the guard must know of a page that `build_demo` built."""
    folder = Path(demo.GRADIO_CACHE)
    janitor = TempFileCleaner(
        folder,
        options.keep_minutes * 60,
        int(options.cache_mb * 2**20),
        lambda: gradio_internals.kept_files(demo),
        lambda: demo.service.scheduler.files() | demo.clips.files(),
    )
    return AppContext(
        demo=demo,
        folder=folder,
        scheduler=demo.service.scheduler,
        sessions=demo.sessions,
        janitor=janitor,
        max_upload_bytes=int(options.max_upload_mb * 2**20),
        embed=options.embed,
        alone=is_alone(options),
        behind_proxy=options.behind_proxy or on_a_space(),
    )


def app_kwargs(site: AppContext) -> dict[str, Any]:
    """What `launch(app_kwargs=...)`, or `FastAPI(...)` around a mounted page, takes."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        protect(app, site)
        task = asyncio.create_task(_sweep(site))
        try:
            yield
        finally:
            task.cancel()

    return {
        "lifespan": lifespan,
        "routes": [preview_route(), *live_routes(site.demo.live)],
        "middleware": [
            # Gradio's page is 0.6 MB of text, of which a seventh is left
            Middleware(GZipMiddleware, minimum_size=1000, compresslevel=GZIP_LEVEL),
            Middleware(LinkPreviewMiddleware),
        ],
        "docs_url": None,
        "redoc_url": None,
        "openapi_url": None,
    }


async def _sweep(site: AppContext) -> None:
    """Tidy up every few seconds, and go on with it whatever happens."""
    steps = (site.janitor.sweep, site.demo.service.results.evict_expired, trim_memory)
    while True:
        for step in steps:
            with _going_on():
                await anyio.to_thread.run_sync(step)
        with _going_on():
            site.sessions.drop_unheard(site.demo)
        await asyncio.sleep(SWEEP_SECONDS)


@contextmanager
def _going_on() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error_log.tell(log, "tidying up has failed and is tried again", error)


def trim_memory() -> None:
    """Give free memory back to the system, where glibc would keep it for each thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def few_arenas() -> None:
    """Let all threads share two pools of memory (glibc), or what one frees no other may use."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(-8, 2)  # M_ARENA_MAX


def start(demo: "gr.Blocks", options: Options, *, quiet: bool = False) -> AppContext:
    """Serve the page; returns as soon as it is reachable.

    Args:
        demo: what `build_demo` built.
        options: what was set on the command line.
        quiet: print no addresses.

    Raises:
        PixelwiseError: the address cannot be listened on, or the folder for uploads and results
            cannot be written.
    """
    site = make_site(demo, options)
    few_arenas()
    set_up_queue(demo, options)
    check_address(options)
    check_folder(site.folder)
    with _forwarding(site.behind_proxy):
        demo.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            auth=options.auth,
            max_file_size=site.max_upload_bytes,
            enable_monitoring=False,
            run_history=False,
            mcp_server=False,
            ssr_mode=False,  # its front server would pass by the guard
            num_workers=0,
            state_session_capacity=MAX_SESSIONS,
            max_threads=threads_for(demo, options),
            prevent_thread_lock=True,
            quiet=quiet,
            app_kwargs=app_kwargs(site),
            _frontend=False,  # no wait for a whole page within 3 s, which a busy machine may miss
            **looks(),
        )
    if not isinstance(
        demo.app.middleware_stack, AccessMiddleware
    ):  # nobody is to be served without it
        demo.close(verbose=False)
        raise RuntimeError("the guard is not before the page: is this another Gradio?")
    if options.shared:
        print(_about_share(demo.share_url, options), flush=True)
        demo.share = False  # or the page would take its scripts from another host
    return site


@contextmanager
def _forwarding(behind_proxy: bool) -> Iterator[None]:
    """While the server is set up: whether it takes a visitor's address from what a proxy adds.

    Uvicorn does so by itself for whoever asks from this machine; its own environment variable is
    the only way to say otherwise, and wins where the owner has set it.
    """
    name = "FORWARDED_ALLOW_IPS"
    if behind_proxy or name in os.environ:
        yield
        return
    os.environ[name] = ""
    try:
        yield
    finally:
        del os.environ[name]


def set_up_queue(demo: "gr.Blocks", options: Options) -> None:
    """Bound Gradio's own queue: `Scheduler.join` refuses first, and this is a net below that."""
    demo.queue(default_concurrency_limit=1, max_size=4 * options.max_queue + 64, api_open=False)
    gradio_internals.count_nothing(demo)


def threads_for(demo: "gr.Blocks", options: Options) -> int:
    """How many threads the page needs: all whom `Scheduler.join` lets in, and the rest meanwhile.

    Gradio runs no more calls at once than it has threads. So there are always some for those who
    are refused, for pinned pixels and for the classroom, however many ask.
    """
    return options.max_queue + demo.service.scheduler.max_concurrency + SPARE_THREADS


def _about_share(url: str | None, options: Options) -> str:
    """Whether there is a public link, and what it means."""
    if url is None:
        return (
            "No public link: Gradio's relay could not be reached (the lines above say why). "
            f"The page goes on for this machine only, at most {options.max_upload_mb:g} MB and "
            f"{options.max_megapixels:g} megapixels a photo."
        )
    said = f"Public link: {url} (the page keeps to {options.max_upload_mb:g} MB, "
    said += f"{options.max_megapixels:g} megapixels, {options.max_queue} waiting)."
    if not options.auth:
        said += (
            "\nAnyone who has or guesses this link can use this machine's processor through it, "
            "until you stop the page. Add --auth USER:PASSWORD to let in only those you tell."
        )
    return said


def wait_for_signal() -> str:
    """Sleep until somebody wants the page to end.

    Returns:
        The signal's name.
    """
    told = threading.Event()
    name: list[str] = []

    def tell(number: int, frame: Any) -> None:
        name.append(signal.Signals(number).name)
        told.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    while not told.wait(0.2):  # a wait without end would not hear signals on Windows
        pass
    return name[0]


def stop(site: AppContext, *, finished: Callable[[], None] | None = None) -> None:
    """End the page: no new photo is taken, those at work may end, the rest is told.

    Args:
        site: what `start` returned.
        finished: called at the end.
    """
    site.scheduler.close()
    end = time.monotonic() + LAST_SECONDS
    while time.monotonic() < end and is_busy(site):
        time.sleep(0.05)
    with contextlib.redirect_stdout(sys.stderr):
        site.demo.close(verbose=False)
    if finished:
        finished()


def is_busy(site: AppContext) -> bool:
    """Whether anybody still waits for an answer."""
    return gradio_internals.is_busy(site.demo)


def force_exit_later(seconds: float = DEADLINE_SECONDS) -> None:
    """End the process at the latest then, whatever hangs."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()


def set_up_logging(level: str) -> None:
    """Log to standard error: nothing of a photo, and no visitor's address but with "debug"."""
    lines = logging.StreamHandler()
    lines.setFormatter(error_log.OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it tells of odd uploads
    for name in ("page", "segmentation", "viewer"):
        logging.getLogger(name).setLevel(level.upper())
