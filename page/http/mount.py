"""Mount the page in another FastAPI application, with the same limits and middleware."""

from dataclasses import replace
from typing import TYPE_CHECKING

from page.gradio_internals import mount_at_root, set_threads
from page.http.app_context import AppContext
from page.http.middleware import protect
from page.http.server import (
    MAX_SESSIONS,
    launch_options,
    limit_malloc_arenas,
    make_context,
    set_up_queue,
    threads_for,
)
from page.options import Options

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI


def mount(app: "FastAPI", demo: "gr.Blocks", options: Options) -> AppContext:
    """Mount the page at the root of an application; the application's own routes come first.

    The middleware wraps the mounted page only. The application must run its lifespan, because
    the page's folder is cleaned in it.

    Args:
        app: the application.
        demo: what `build_demo` built.
        options: the page's settings; host, port and share have no effect.

    Returns:
        The page's context.
    """
    import gradio as gr

    context = replace(make_context(demo, options), local_only=False)  # its address is unknown
    limit_malloc_arenas()
    set_up_queue(demo, options)
    demo.state_session_capacity = MAX_SESSIONS
    set_threads(demo, threads_for(demo, options))
    gr.mount_gradio_app(app, demo, path="/", show_error=False, **launch_options(context, options))
    mount_at_root(demo)
    protect(app.routes[-1].app, context)
    return context
