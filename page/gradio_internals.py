"""Every private name of Gradio that this project uses, with the reason.

Gradio may change these in any release. `tests/page/test_gradio_internals.py` looks each of them up
and reports which is missing and why it is needed. No other module of `page/` or `deploy/` uses one;
`viewer/`, a lower layer, imports its few itself, and they are on the list too.
"""

import sys
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.events import Dependency, EventListener
from gradio.exceptions import ComponentProcessingError
from gradio.http_server import INITIAL_PORT_VALUE, LOCALHOST_NAME, TRY_NUM_PORTS
from gradio.processing_utils import hash_file
from gradio.route_utils import GradioMultiPartParser, GradioUploadFile, MultiPartException
from gradio.routes import file_upload_statuses
from gradio_client.utils import construct_args, strip_invalid_filename_characters

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "INITIAL_PORT_VALUE",
    "LOCALHOST_NAME",
    "TRY_NUM_PORTS",
    "ComponentProcessingError",
    "Dependency",
    "EventListener",
    "GradioMultiPartParser",
    "GradioUploadFile",
    "MultiPartException",
    "construct_args",
    "file_upload_statuses",
    "hash_file",
    "strip_invalid_filename_characters",
]

NAMES = {
    "gradio.events:Dependency": "The type that our components' events return.",
    "gradio.events:EventListener": "Our components have their own events: pin, unpin.",
    "gradio.exceptions:ComponentProcessingError": "It tells bad values apart from our failures.",
    "gradio.http_server:INITIAL_PORT_VALUE": "The ports that `launch` would try are tested first.",
    "gradio.http_server:LOCALHOST_NAME": "The address that `launch` would use is tested first.",
    "gradio.http_server:TRY_NUM_PORTS": "As INITIAL_PORT_VALUE.",
    "gradio.processing_utils:hash_bytes": "Our files are written where Gradio would copy them.",
    "gradio.processing_utils:hash_file": "As hash_bytes, for a ZIP too large for memory.",
    "gradio.route_utils:GradioMultiPartParser.on_part_data": "Fields other than files are limited.",
    "gradio.route_utils:GradioUploadFile": "The parser's files have a hash, their folder's name.",
    "gradio.route_utils:MultiPartException": "A malformed form gets an error message.",
    "gradio.routes:file_upload_statuses._signals": "Its records of uploads are limited.",
    "gradio.routes:file_upload_statuses.stop_tracking": "As _signals.",
    "gradio.routes:file_upload_statuses.track": "The page shows an upload's progress.",
    "gradio.component_meta:ComponentMeta": "It would write .pyi files beside our sources.",
    "gradio.component_meta:updateable": "The other thing that ComponentMeta does to `__init__`.",
    "gradio_client.utils:construct_args": "Calls may pass their values by name.",
    "gradio_client.utils:strip_invalid_filename_characters": "An upload keeps its name.",
    "gradio:Blocks.process_api": "Errors become messages; a request's locality is set.",
    "gradio:Blocks.get_api_info": "An endpoint's parameter names, for calls by name.",
    "demo:GRADIO_CACHE": "The folder that Gradio serves files from.",
    "demo:blocks": "Components have files that must not be deleted (keep_in_cache).",
    "demo:custom_mount_path": "A mounted page uses relative addresses.",
    "demo:fns": "A call's function is looked up before Gradio sees the call.",
    "demo:max_threads": "The threads of a mounted page; `launch` takes them as an argument.",
    "demo:_queue.max_thread_count": "As max_threads, for the queue.",
    "demo:_queue.max_size": "A flood beyond it gets our own message.",
    "demo:_queue.get_active_worker_count": "The page closes when running calls have ended.",
    "demo:_queue.event_ids_to_events": "Results that are never collected are deleted.",
    "demo:_queue.pending_messages_per_session": "As event_ids_to_events.",
    "demo:_queue.pending_event_ids_session": "As event_ids_to_events.",
    "demo:_queue.ANAYLTICS_CACHE_FREQUENCY": "Unused statistics would cost time at each call.",
    "demo:_queue.ANALYTICS_MAX_EVENTS": "As ANAYLTICS_CACHE_FREQUENCY.",
    "app:cookie_id": "Logins are checked before Gradio's routes.",
    "app:tokens": "As cookie_id.",
    "app:auth": "Whether a password is asked for.",
    "app:middleware_stack": "Our middleware wraps Gradio's.",
}
"""Name ("demo" is a `gr.Blocks`, "app" its FastAPI application) -> why it is needed."""


def component_files(demo: gr.Blocks) -> set[str]:
    """Return the files that components show from the start, such as examples."""
    return set().union(*(block.keep_in_cache for block in demo.blocks.values()))


def queue_size(demo: gr.Blocks) -> tuple[int, bool]:
    """Return how many calls wait in Gradio's own queue, and whether it is full."""
    waiting, max_size = len(demo._queue), demo._queue.max_size
    return waiting, max_size is not None and waiting >= max_size


def is_busy(demo: gr.Blocks) -> bool:
    """Return whether calls run or wait in Gradio's queue."""
    return bool(demo._queue.get_active_worker_count() or len(demo._queue))


def disable_analytics(demo: gr.Blocks) -> None:
    """Stop the queue's statistics, which are recomputed over all calls after each call."""
    demo._queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize
    demo._queue.ANALYTICS_MAX_EVENTS = 1


def set_threads(demo: gr.Blocks, threads: int) -> None:
    """Set the number of threads of a mounted page, as `launch(max_threads=...)` does."""
    demo.max_threads = demo._queue.max_thread_count = threads


def mount_at_root(demo: gr.Blocks) -> None:
    """Make a mounted page use addresses relative to itself."""
    demo.custom_mount_path = None


def answered_sessions(demo: gr.Blocks) -> set[str]:
    """Return the sessions with stored results and no call in progress."""
    alive = {event.session_hash for event in demo._queue.event_ids_to_events.values()}
    return set(demo._queue.pending_messages_per_session) - alive


def drop_answers(demo: gr.Blocks, session: str) -> None:
    """Delete a session's results; call it on the event loop, which owns the queue."""
    demo._queue.pending_messages_per_session.pop(session, None)
    demo._queue.pending_event_ids_session.pop(session, None)


def requires_login(app: Any) -> bool:
    """Return whether the app has a password."""
    return getattr(app, "auth", None) is not None


def is_logged_in(app: Any, cookies: "Mapping[str, Any]") -> bool:
    """Return whether the cookies (name -> `http.cookies.Morsel`) contain a valid login token."""
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(name in cookies and cookies[name].value in app.tokens for name in names)


def stop_tracking_upload(name: str) -> None:
    """Delete the record of an upload's progress."""
    file_upload_statuses.stop_tracking(name)
    file_upload_statuses._signals.pop(name, None)
