"""The page within another application, bounded and guarded as when it serves itself."""

from dataclasses import replace
from typing import TYPE_CHECKING

from page.gradio_internals import mount_at_root, set_threads
from page.http.middleware import AppContext, protect
from page.http.server import (
    MAX_SESSIONS,
    app_kwargs,
    few_arenas,
    make_site,
    set_up_queue,
    threads_for,
)
from page.options import Options
from page.theme import looks

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI


def mount(app: "FastAPI", demo: "gr.Blocks", options: Options) -> AppContext:
    """Mount the page at the root of an application; routes that it has already come first.

    The guard stands before the page's own routes, where it knows who has logged in. The
    application must run its lifespan, in which the page's folder is tidied.

    Args:
        app: what the page becomes a part of.
        demo: what `build_demo` built.
        options: the page's settings; host, port and share are the application's business.

    Returns:
        What the guard knows of the page.
    """
    import gradio as gr

    site = replace(make_site(demo, options), alone=False)  # where it listens is not known here
    few_arenas()
    set_up_queue(demo, options)
    demo.state_session_capacity = MAX_SESSIONS
    set_threads(demo, threads_for(demo, options))
    gr.mount_gradio_app(
        app,
        demo,
        path="/",
        auth=options.auth,
        max_file_size=site.max_upload_bytes,
        enable_monitoring=False,
        run_history=False,
        mcp_server=False,
        ssr_mode=False,  # its front server would pass by the guard
        show_error=False,
        app_kwargs=app_kwargs(site),
        **looks(),
    )
    mount_at_root(demo)
    protect(app.routes[-1].app, site)
    return site
