"""What the server must know of a page."""

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
    """A page, and what bounds it.

    Attributes:
        demo: the page.
        folder: where uploads and results lie.
        scheduler: lets calls in and has them wait.
        sessions: who has left.
        janitor: how full the folder is.
        max_upload_bytes: of one file.
        embed: origins that may frame the page.
        alone: the page can be reached from this machine only.
        behind_proxy: what a proxy adds to a request is to be believed.
        seen: set once the page was served.
    """

    demo: "gr.Blocks"
    folder: Path
    scheduler: Scheduler
    sessions: Sessions
    janitor: TempFileCleaner
    max_upload_bytes: int
    embed: Sequence[str] = ()
    alone: bool = False
    behind_proxy: bool = False
    seen: threading.Event = field(default_factory=threading.Event)
