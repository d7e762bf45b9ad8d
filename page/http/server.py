"""Start and stop the HTTP server: Gradio with the access middleware and periodic cleaning."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from page import gradio_internals
from page.http.app_context import AppContext
from page.http.camera_routes import live_routes
from page.http.link_preview import LinkPreviewMiddleware, preview_route
from page.http.middleware import AccessMiddleware, protect
from page.http.startup_checks import check_address, check_folder
from page.options import Options, on_a_space
from page.requests.locality import is_alone
from page.service import error_log
from page.storage.temp_files import TempFileCleaner
from page.theme import theme_options

if TYPE_CHECKING:
    import gradio as gr

SWEEP_SECONDS = 20.0
SHUTDOWN_GRACE_SECONDS = 4.0
"""Seconds that photos in progress may take when the page is closed."""
DEADLINE_SECONDS = 9.0
"""Seconds after which closing the page is cut short by ending the process."""
SPARE_THREADS = 64
"""Threads for refused calls, pixels and the classroom."""
GZIP_LEVEL = 6
MAX_SESSIONS = 256
"""Visitors whose state Gradio keeps, about 0.2 MB each; the least recently seen are dropped."""

log = logging.getLogger(__name__)


def make_context(demo: "gr.Blocks", options: Options) -> AppContext:
    """Return the context of a page that `build_demo` built."""
    folder = Path(demo.GRADIO_CACHE)
    cleaner = TempFileCleaner(
        folder,
        options.keep_minutes * 60,
        int(options.cache_mb * 2**20),
        lambda: gradio_internals.component_files(demo),
        lambda: demo.service.scheduler.files() | demo.clips.files(),
    )
    return AppContext(
        demo=demo,
        folder=folder,
        scheduler=demo.service.scheduler,
        sessions=demo.sessions,
        cleaner=cleaner,
        max_upload_bytes=int(options.max_upload_mb * 2**20),
        embed=options.embed,
        local_only=is_alone(options),
        behind_proxy=options.behind_proxy or on_a_space(),
    )


def app_kwargs(context: AppContext) -> dict[str, Any]:
    """Return the arguments for `launch(app_kwargs=...)`: lifespan and camera routes, no docs."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        protect(app, context)
        task = asyncio.create_task(_sweep(context))
        try:
            yield
        finally:
            task.cancel()

    return {
        "lifespan": lifespan,
        "routes": [preview_route(), *live_routes(context.demo.live)],
        "middleware": [
            Middleware(GZipMiddleware, minimum_size=1000, compresslevel=GZIP_LEVEL),
            Middleware(LinkPreviewMiddleware),
        ],
        "docs_url": None,
        "redoc_url": None,
        "openapi_url": None,
    }


async def _sweep(context: AppContext) -> None:
    """Clean up every `SWEEP_SECONDS`, whatever errors occur."""
    steps = (context.cleaner.sweep, context.demo.service.results.evict_expired, release_free_memory)
    while True:
        for step in steps:
            with _log_errors():
                await anyio.to_thread.run_sync(step)
        with _log_errors():
            context.sessions.drop_unheard(context.demo)
        await asyncio.sleep(SWEEP_SECONDS)


@contextmanager
def _log_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error_log.tell(log, "cleaning up failed and will be tried again", error)


def release_free_memory() -> None:
    """Return free memory to the system; glibc would keep it for each thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def limit_malloc_arenas() -> None:
    """Let threads share two malloc arenas (glibc), so that they reuse each other's free memory."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(-8, 2)  # M_ARENA_MAX


def start(demo: "gr.Blocks", options: Options, *, quiet: bool = False) -> AppContext:
    """Serve the page, and return when it is reachable.

    Args:
        demo: what `build_demo` built.
        options: the page's settings.
        quiet: print no addresses.

    Raises:
        PixelwiseError: the page cannot listen on its address, or its folder cannot be written.
        RuntimeError: Gradio has replaced the middleware.
    """
    context = make_context(demo, options)
    limit_malloc_arenas()
    set_up_queue(demo, options)
    check_address(options)
    check_folder(context.folder)
    with _forwarding(context.behind_proxy):
        demo.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            num_workers=0,
            state_session_capacity=MAX_SESSIONS,
            max_threads=threads_for(demo, options),
            prevent_thread_lock=True,
            quiet=quiet,
            _frontend=False,  # skip a test request that must succeed within 3 s
            **launch_options(context, options),
        )
    if not isinstance(demo.app.middleware_stack, AccessMiddleware):
        demo.close(verbose=False)
        raise RuntimeError("the access middleware is missing: is this another version of Gradio?")
    if options.shared:
        print(_about_share(demo.share_url, options), flush=True)
        demo.share = False  # else the page would load its scripts from another host
    return context


@contextmanager
def _forwarding(behind_proxy: bool) -> Iterator[None]:
    """Keep Uvicorn, while it is set up, from taking client addresses from proxy headers.

    By default it trusts them in requests from this machine. Its environment variable, which the
    owner may have set, is the only switch that Gradio leaves.
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


def launch_options(context: AppContext, options: Options) -> dict[str, Any]:
    """Return the arguments that `launch` and `mount_gradio_app` have in common."""
    return {
        "auth": options.auth,
        "max_file_size": context.max_upload_bytes,
        "enable_monitoring": False,
        "run_history": False,
        "mcp_server": False,
        "ssr_mode": False,  # its front server would bypass the middleware
        "app_kwargs": app_kwargs(context),
        **theme_options(),
    }


def set_up_queue(demo: "gr.Blocks", options: Options) -> None:
    """Limit Gradio's own queue, as a second limit behind `Scheduler.join`'s."""
    demo.queue(default_concurrency_limit=1, max_size=4 * options.max_queue + 64, api_open=False)
    gradio_internals.disable_analytics(demo)


def threads_for(demo: "gr.Blocks", options: Options) -> int:
    """Return the number of threads: one for each admitted photo, and `SPARE_THREADS`.

    Gradio runs one call per thread, so calls that need no place in the queue have their own.
    """
    return options.max_queue + demo.service.scheduler.max_concurrency + SPARE_THREADS


def _about_share(url: str | None, options: Options) -> str:
    """Return the message about the public link, or about its absence."""
    if url is None:
        return (
            "No public link: Gradio's relay could not be reached (see above for the reason). "
            f"The page runs on this machine only, with at most {options.max_upload_mb:g} MB and "
            f"{options.max_megapixels:g} megapixels a photo."
        )
    message = (
        f"Public link: {url} (limits: {options.max_upload_mb:g} MB, "
        f"{options.max_megapixels:g} megapixels, {options.max_queue} waiting)."
    )
    if not options.auth:
        message += (
            "\nAnyone who has or guesses this link can use this machine's processor through it, "
            "until you stop the page. Add --auth USER:PASSWORD to require a password."
        )
    return message


def wait_for_signal() -> None:
    """Wait for SIGTERM or SIGINT."""
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: received.append(number))
    while not received:
        time.sleep(0.2)


def stop(context: AppContext) -> None:
    """Stop the page: refuse new photos, finish those in progress, send the rest a message."""
    context.scheduler.close()
    end = time.monotonic() + SHUTDOWN_GRACE_SECONDS
    while time.monotonic() < end and is_busy(context):
        time.sleep(0.05)
    with contextlib.redirect_stdout(sys.stderr):
        context.demo.close(verbose=False)


def is_busy(context: AppContext) -> bool:
    """Return whether calls are running or waiting."""
    return gradio_internals.is_busy(context.demo)


def force_exit_later(seconds: float = DEADLINE_SECONDS) -> None:
    """End the process after some seconds, even if a thread hangs."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()


def set_up_logging(level: str) -> None:
    """Log to standard error; only "debug" logs client addresses and file names."""
    handler = logging.StreamHandler()
    handler.setFormatter(error_log.OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of malformed uploads
    for name in ("page", "segmentation", "viewer"):
        logging.getLogger(name).setLevel(level.upper())
