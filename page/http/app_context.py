"""What the HTTP server shares about one page: its folder, queue, sessions and limits."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from page.service.queue.scheduler import Scheduler
from page.service.queue.sessions import Sessions
from page.storage.temp_files import TempFileCleaner

if TYPE_CHECKING:
    import gradio as gr


@dataclass(frozen=True)
class AppContext:
    """A page and its limits.

    Attributes:
        demo: the page.
        folder: where uploads and results are stored.
        scheduler: the queue of photos.
        sessions: which visitors are connected.
        cleaner: measures and cleans `folder`.
        max_upload_bytes: limit of one file.
        embed: origins that may frame the page.
        local_only: the page can be reached from this machine only.
        behind_proxy: trust the headers that a proxy adds to a request.
        first_page_served: set once the page has been served.
    """

    demo: "gr.Blocks"
    folder: Path
    scheduler: Scheduler
    sessions: Sessions
    cleaner: TempFileCleaner
    max_upload_bytes: int
    embed: Sequence[str] = ()
    local_only: bool = False
    behind_proxy: bool = False
    first_page_served: threading.Event = field(default_factory=threading.Event)
