"""The tab for several photos: what it shows and what happens at each button."""

import gradio as gr

from page import texts
from page.components.photo_input import PhotosInput
from page.tabs.events import QUEUED, QUIETLY
from page.tabs.photo_batch_job import MAX_PHOTOS, PhotoBatch

TITLE = "Several"


def add_several(several: PhotoBatch, model: gr.Dropdown, size: gr.Dropdown) -> None:
    """Build the tab's inside.

    Args:
        several: answers it.
        model: the main view's choice, which counts here too.
        size: the same.
    """
    with gr.Column(elem_id="several"):
        gr.HTML(texts.several_intro(MAX_PHOTOS), elem_id="several-intro")
        with gr.Row(elem_id="several-row"):
            photos = PhotosInput(
                label=f"Photos, up to {MAX_PHOTOS}",
                file_count="multiple",
                height=220,
                elem_id="several-photos",
            )
            with gr.Column(scale=1, min_width=280):
                start = gr.Button("Label these photos", variant="primary", elem_id="several-start")
                stop = gr.Button("Stop", visible=False, elem_id="several-stop")
                zipped = gr.DownloadButton(
                    "Download everything (ZIP)", visible=False, elem_id="several-zip"
                )
                status = gr.HTML("", elem_id="several-status")
        sheet = gr.Gallery(
            label="Contact sheet",
            columns=4,
            object_fit="contain",
            height="auto",
            visible=False,
            interactive=False,
            buttons=["fullscreen"],
            elem_id="several-sheet",
        )
    start.click(
        several.run,
        [photos, model, size],
        [status, sheet, zipped, start, stop],
        api_name="several",
        **QUIETLY,
        **QUEUED,
    )
    stop.click(several.stop, None, None, **QUIETLY, queue=False)
