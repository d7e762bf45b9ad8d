"""The tab for moving pictures: the camera, and below it a clip."""

from pathlib import Path

import gradio as gr

from page import live_texts as words
from page.service.labeling_service import LabelingService
from page.service.queue.sessions import Sessions
from page.tabs.camera_sessions import CameraSessions
from page.tabs.clip_job import ClipJobs
from page.tabs.events import QUIETLY
from page.tabs.model_menu import model_choices
from viewer import LiveView

FILE_TYPES = ["video", ".mkv", ".mov", ".webm", ".avi"]


class LiveTab:
    """Builds the tab inside a `gr.Blocks`.

    Args:
        service: has the networks.
        demo: the page.
        sessions: who has left.

    Attributes:
        live: answers the cameras; the server has routes for it.
    """

    def __init__(self, service: LabelingService, *, demo: gr.Blocks, sessions: Sessions) -> None:
        self.live = CameraSessions(service, service.options.live_seconds)
        self.clips = ClipJobs(service, demo.GRADIO_CACHE, sessions)
        names = model_choices(service)
        with gr.Column(elem_id="live-tab"):
            LiveView(models=names, elem_id="live")
            with gr.Accordion(words.CLIP_TITLE, open=False, elem_id="clip"):
                self._build_clip(names, Path(service.default).name)

    def _build_clip(self, names: list[tuple[str, str]], default: str) -> None:
        with gr.Row(elem_id="clip-row"):
            with gr.Column(scale=1, min_width=300):
                gr.HTML(self.clips.rules(), elem_id="clip-rules")
                file = gr.File(
                    label="A short clip", file_types=FILE_TYPES, height=140, elem_id="clip-file"
                )
                model = gr.Dropdown(names, value=default, label="Model", elem_id="clip-model")
                with gr.Row():
                    run = gr.Button("Label the clip", variant="primary", elem_id="clip-run")
                    cancel = gr.Button("Cancel", elem_id="clip-cancel")
                status = gr.HTML("", elem_id="clip-status")
            with gr.Column(scale=2, min_width=320):
                shown = gr.Video(
                    label="The labelled clip",
                    interactive=False,
                    visible=False,  # or every visitor fetches the code of a video player, 180 kB
                    buttons=["download"],
                    elem_id="clip-shown",
                )
        run.click(lambda: gr.update(visible=True), None, [shown], queue=False, **QUIETLY)
        run.click(
            self.clips.run,
            [file, model],
            [status, shown],
            **QUIETLY,
            trigger_mode="once",
            concurrency_limit=None,  # they wait in `ClipJobs`, where they are told so
        )
        cancel.click(self.clips.stops.stop, None, None, queue=False, **QUIETLY)
