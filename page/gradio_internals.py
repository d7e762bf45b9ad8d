"""Every private name of Gradio that this project leans on, and why: the one place to mend.

Gradio may change these in any release. `tests/page/test_gradio_internals.py` looks each of them up
and says what is missing and what needs it; nothing else in `page/` or `deploy/` names one.
`viewer/` lies below `page/` and imports its few itself; they are on the list, too.
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
    "gradio.events:Dependency": "The type of what an event of a component of ours returns.",
    "gradio.events:EventListener": "Components of ours have events of their own: pin, unpin.",
    "gradio.exceptions:ComponentProcessingError": "It tells a bad value from a failure of ours.",
    "gradio.http_server:INITIAL_PORT_VALUE": "The ports that `launch` tries are tested before it.",
    "gradio.http_server:LOCALHOST_NAME": "The address that `launch` takes is tested before it.",
    "gradio.http_server:TRY_NUM_PORTS": "As INITIAL_PORT_VALUE.",
    "gradio.processing_utils:hash_bytes": "Files of ours lie where Gradio would make copies.",
    "gradio.processing_utils:hash_file": "As hash_bytes, for a ZIP that is too large for memory.",
    "gradio.route_utils:GradioMultiPartParser.on_part_data": "Fields that are no file are bounded.",
    "gradio.route_utils:GradioUploadFile": "The parser's files have their hash, for their folder.",
    "gradio.route_utils:MultiPartException": "A bad form is told in a sentence.",
    "gradio.routes:file_upload_statuses._signals": "What it remembers of uploads is bounded.",
    "gradio.routes:file_upload_statuses.stop_tracking": "As _signals.",
    "gradio.routes:file_upload_statuses.track": "The page shows an upload's progress.",
    "gradio.component_meta:ComponentMeta": "It writes .pyi files beside sources; ours must not.",
    "gradio.component_meta:updateable": "What else ComponentMeta does to `__init__`.",
    "gradio_client.utils:construct_args": "A call may give its values by their names.",
    "gradio_client.utils:strip_invalid_filename_characters": "An upload keeps its name.",
    "gradio:Blocks.process_api": "Errors of calls become sentences, and who asks is known.",
    "gradio:Blocks.get_api_info": "The names of an endpoint's values, for calls by names.",
    "demo:GRADIO_CACHE": "The folder that Gradio serves files from.",
    "demo:blocks": "Components keep files that the janitor must spare (keep_in_cache).",
    "demo:custom_mount_path": "A mounted page tells its addresses relative to itself.",
    "demo:fns": "A call's function is looked up before Gradio sees the call.",
    "demo:max_threads": "How many calls a mounted page runs at once; `launch` has it as argument.",
    "demo:_queue.max_thread_count": "As max_threads, for the queue.",
    "demo:_queue.max_size": "A flood beyond it is told in our words.",
    "demo:_queue.get_active_worker_count": "The page closes when those at work have ended.",
    "demo:_queue.event_ids_to_events": "Answers that nobody comes for are forgotten.",
    "demo:_queue.pending_messages_per_session": "As event_ids_to_events.",
    "demo:_queue.pending_event_ids_session": "As event_ids_to_events.",
    "demo:_queue.ANAYLTICS_CACHE_FREQUENCY": "Statistics that nobody sees cost time at each call.",
    "demo:_queue.ANALYTICS_MAX_EVENTS": "As ANAYLTICS_CACHE_FREQUENCY.",
    "app:cookie_id": "Who has logged in is known before Gradio's routes.",
    "app:tokens": "As cookie_id.",
    "app:auth": "Whether a password is asked for.",
    "app:middleware_stack": "The guard stands before Gradio's own middleware.",
}
"""Where ("demo" is a `gr.Blocks`, "app" its FastAPI application) and what: why it is needed."""


def kept_files(demo: gr.Blocks) -> set[str]:
    """The files that components show from the start, such as examples."""
    return set().union(*(block.keep_in_cache for block in demo.blocks.values()))


def queue_size(demo: gr.Blocks) -> tuple[int, bool]:
    """How many calls wait in Gradio's own queue, and whether it is full."""
    waiting, most = len(demo._queue), demo._queue.max_size
    return waiting, most is not None and waiting >= most


def is_busy(demo: gr.Blocks) -> bool:
    """Whether calls are at work or wait in Gradio's queue."""
    return bool(demo._queue.get_active_worker_count() or len(demo._queue))


def count_nothing(demo: gr.Blocks) -> None:
    """Stop the queue's statistics: those of all calls would be counted anew after each."""
    demo._queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize
    demo._queue.ANALYTICS_MAX_EVENTS = 1


def set_threads(demo: gr.Blocks, threads: int) -> None:
    """As `launch(max_threads=...)`, for a page that is mounted."""
    demo.max_threads = demo._queue.max_thread_count = threads


def mount_at_root(demo: gr.Blocks) -> None:
    """Let a mounted page tell its addresses relative to itself."""
    demo.custom_mount_path = None


def answered_sessions(demo: gr.Blocks) -> set[str]:
    """The sessions for which Gradio keeps answers, and has no call under way."""
    alive = {event.session_hash for event in demo._queue.event_ids_to_events.values()}
    return {one for one in demo._queue.pending_messages_per_session if one not in alive}


def drop_answers(demo: gr.Blocks, session: str) -> None:
    """Forget a session's answers; on the event loop, as the queue belongs to it."""
    demo._queue.pending_messages_per_session.pop(session, None)
    demo._queue.pending_event_ids_session.pop(session, None)


def asks_for_password(app: Any) -> bool:
    """Whether one must log in."""
    return getattr(app, "auth", None) is not None


def is_logged_in(app: Any, cookies: "Mapping[str, Any]") -> bool:
    """Whether these cookies (name -> `http.cookies.Morsel`) are of somebody who has logged in."""
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(name in cookies and cookies[name].value in app.tokens for name in names)


def stop_tracking_upload(name: str) -> None:
    """Forget an upload's progress."""
    file_upload_statuses.stop_tracking(name)
    file_upload_statuses._signals.pop(name, None)
