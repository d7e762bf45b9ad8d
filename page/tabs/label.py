"""The first tab: a photo, what labels it, the viewer, and what happens at each change."""

from pathlib import Path

import gradio as gr

from page.components.photo_input import PhotoInput
from page.service.labeling_service import LabelingService
from page.service.models.model_pool import EMBEDDED
from page.service.result_cache import SHARPER
from page.tabs import examples
from page.tabs.events import QUEUED, QUIETLY
from page.tabs.label_handlers import Handlers
from page.tabs.model_menu import model_choices
from viewer import LabelViewer, PixelAnswer

TITLE = "Label"
SIZES = (260, 390, 520, 780, 1040)
SHARPER_INFO = "Two sizes averaged: sharper outlines, about three times the time."


class LabelTab:
    """Builds the tab's inside, within a `gr.Tab`.

    Args:
        service: has the networks.
        examples: the folder of the example photos.

    Attributes:
        photo: the photo's input.
        model: the chosen model.
        size: the chosen shorter side; 0 for the model's own.
    """

    def __init__(self, service: LabelingService, examples: Path) -> None:
        self._folder = examples
        with gr.Row(elem_id="main"):
            with gr.Column(scale=1, min_width=300, elem_id="sidebar"):
                self._build_photo()
                self._build_choices(service)
                self.facts = gr.HTML("", elem_id="run-facts")
                self.fetched = gr.HTML("", elem_id="download-note")
                self.offer = gr.Button("", visible=False, variant="primary", elem_id="retry-model")
            with gr.Column(scale=3, min_width=320, elem_id="stage-column"):
                self.viewer = LabelViewer(elem_id="viewer")
                self.bars = PixelAnswer(elem_id="bars")

    def _build_photo(self) -> None:
        self.photo = PhotoInput(
            label="Photo",
            placeholder="Drop a photo anywhere on this page\nor click to choose one",
            sources=["upload", "clipboard", "webcam"],
            height=240,
            alt_text="The photo to label",
            buttons=[],
            elem_id="photo",
        )
        gr.Examples(
            [[str(path)] for _, path in examples.offered(self._folder)],
            inputs=[self.photo],
            label="Or try one of these",
            elem_id="examples",
        )
        gr.HTML(examples.gallery_words(self._folder), elem_id="example-words")
        self.caption = gr.HTML("", elem_id="example-caption", padding=False)

    def _build_choices(self, service: LabelingService) -> None:
        has_sharper = service.sharper_size(EMBEDDED) is not None
        self.model = gr.Dropdown(
            model_choices(service),
            value=Path(service.default).name,
            label="Model",
            elem_id="model",
        )
        self.size = gr.Dropdown(
            _sizes(service.options.size, sharper=has_sharper),
            value=service.options.size or 0,
            label="Shorter side that the network sees",
            elem_id="size",
        )
        # one choice in two places: the switch moves the size, and the size the switch
        self.sharper = gr.Checkbox(
            False,
            label="Sharper",
            info=SHARPER_INFO,
            visible=has_sharper,
            elem_id="sharper",
        )
        size, sharper, moved = self.size, self.sharper, {**QUIETLY, "queue": False}
        sharper.input(None, sharper, size, js=f"on => on ? {SHARPER} : 0", **moved)
        size.input(None, size, sharper, js=f"size => size === {SHARPER}", **moved)

    def listen(self, handlers: Handlers, key: gr.State) -> None:
        """Answer what a visitor does.

        Args:
            handlers: answer it.
            key: holds the key of the answer that shows.
        """
        timer = gr.Timer(1.0, active=False)
        gr.on(
            [self.photo.change, self.model.change, self.size.change, self.offer.click],
            handlers.label,
            [self.photo, self.model, self.size],
            [self.viewer, self.facts, key, self.fetched, self.offer, timer],
            **QUIETLY,
            trigger_mode="always_last",
            **QUEUED,
        )
        self.photo.change(
            lambda photo: examples.caption_of(photo, self._folder),
            [self.photo],
            [self.caption],
            **QUIETLY,
            queue=False,
            trigger_mode="always_last",
        )
        timer.tick(
            handlers.watch_download,
            [self.model],
            [self.fetched, self.offer, timer],
            **QUIETLY,
            queue=False,
        )
        self.viewer.pin(handlers.pixel, [key], [self.bars], **QUIETLY, queue=False)


def _sizes(own: int | None, *, sharper: bool) -> list[tuple[str, int]]:
    sizes = sorted({*SIZES, *([own] if own else [])})
    several = [("two sizes averaged (sharper)", SHARPER)] if sharper else []
    return [("as the model was trained", 0), *several, *((f"{size} px", size) for size in sizes)]
