"""Views 1 to 4 of the classroom: three steps, one pixel, the microscope, what it looks at."""

from collections.abc import Iterator, Sequence

import numpy as np

from page.classroom import drawings as draw
from page.classroom import figures as fig
from page.classroom import text as texts
from page.classroom.session import (
    ClassroomSession,
    Pixel,
    default_class,
    errors_as_html,
    selected_pixel,
)
from segmentation import display_name
from segmentation.explain.ablation import decode, nominal_stride, replace_logits
from segmentation.explain.aspp import ablated, aspp_of, cell_of, sampling_taps
from segmentation.explain.probability_maps import class_probability_map, entropy_map
from segmentation.explain.receptive_field import (
    effective_receptive_field,
    energy_box,
    scale_box,
    theoretical_receptive_field,
)
from segmentation.inference.metrics import changed_pixels

MAX_REGIONS = 12


class PixelViews:
    """Views that draw a result and one of its pixels.

    Args:
        lab: the results and networks.
    """

    def __init__(self, lab: ClassroomSession) -> None:
        self.lab = lab

    @errors_as_html
    def picker(self, key: str) -> Iterator[str]:
        """Yield the labelled photo on which the visitor chooses a pixel."""
        entry = self.lab.entry(key)
        hint = "Click a pixel, or move it with the arrow keys. "
        yield fig.label_figure(entry, hint, classes="cl-picker")

    @errors_as_html
    def steps(self, key: str) -> Iterator[str]:
        """Yield three linked figures: classification, bounding, masking."""
        entry = self.lab.entry(key)
        regions = entry.result.regions()[:MAX_REGIONS]
        palette = entry.card.palette_array
        size = entry.result.class_map.shape
        boxes = "".join(draw.region_box(region, palette, size) for region in regions)
        masks = "".join(draw.region_mask(region, palette) for region in regions)
        objects = draw.count(len(regions), "object")
        yield self.lab.model_line(entry) + fig.row(
            draw.classification(entry, palette),
            fig.frame(
                fig.thumbnail(entry.photo.image),
                f"<strong>2 Bounding</strong> Where? {objects}: a connected piece each.",
                alt=f"The photo with the boxes of {objects}",
                photo_size=size,
                drawing=boxes,
            ),
            fig.frame(
                fig.thumbnail(entry.photo.image) // 2,
                "<strong>3 Masking</strong> Which pixels? Each one is decided on its own.",
                alt=f"The photo with the masks of {objects}",
                photo_size=size,
                drawing=masks,
            ),
            classes="cl-three",
        )

    @errors_as_html
    def maps(self, key: str, index: int | None) -> Iterator[str]:
        """Yield maps of one class's probability, the entropy and the runner-up."""
        entry = self.lab.entry(key)
        result, image = entry.result, entry.photo.image
        index = default_class(result) if index is None else int(index)
        size = fig.fit_size(result.class_map.shape)
        values = class_probability_map(result.logits, index, size)
        bits = entropy_map(result.logits, size)
        max_bits = float(np.log2(len(result.categories)))
        name = texts.escape(display_name(result.categories[index]))
        runner = result.__class__(**{**vars(result), "class_map": result.runner_up.copy()})
        yield self.lab.model_line(entry) + fig.row(
            fig.frame(
                fig.heatmap_overlay(image, values),
                f"<strong>{name}</strong> at most {values.max():.0%} " + fig.scale("0 %", "100 %"),
                alt=f"Heat map: probability of {name}",
                photo_size=result.class_map.shape,
            ),
            fig.frame(
                fig.heatmap_overlay(image, bits / max_bits),
                f"<strong>Entropy</strong> {bits.mean():.2f} bits on average "
                + fig.scale("0", f"{max_bits:.2f} bits"),
                alt="Heat map: entropy",
                photo_size=result.class_map.shape,
            ),
            fig.label_figure(
                entry, "<strong>Runner-up</strong> the second choice. ", result=runner
            ),
            linked=True,
        )

    def branches(self, key: str) -> list[str]:
        """Return the names of the ASPP's branches.

        Raises:
            ExplainError: the model has no ASPP.
        """
        entry = self.lab.entry(key)
        return [b.name for b in aspp_of(self.lab.segmenter(entry).model.network).branches]

    @errors_as_html
    def microscope(self, key: str, pixel: Pixel, on: Sequence[str]) -> Iterator[str]:
        """Yield the branches' taps on the photo, and the labels without the branches that are off.

        The encoder runs once for each photo, the head each time.
        """
        entry = self.lab.entry(key)
        network = self.lab.segmenter(entry).model.network
        aspp = aspp_of(network)
        at = selected_pixel(pixel, entry)
        if not self.lab.has_encoded(key):
            yield texts.working("Running the encoder …")
        encoded = self.lab.encoded(entry)
        off = [branch.name for branch in aspp.branches if branch.name not in on]
        with self.lab.service.exclusive(), ablated(network, off):
            result = replace_logits(entry.result, decode(network, encoded))
        grid, size = tuple(encoded.last.shape[-2:]), entry.result.class_map.shape
        taps = sampling_taps(aspp, at, grid, size)
        changed, share = changed_pixels(entry.result.class_map, result.class_map)
        image = entry.photo.image
        stride = nominal_stride(encoded.input_size[0], grid[0])
        switched = f"Without {', '.join(off)}" if off else "All branches on"
        yield (
            self.lab.model_line(entry)
            + fig.row(
                draw.taps_figure(image, taps, at, on, size, cell_size=np.divide(size, grid)),
                fig.label_figure(entry, f"<strong>{switched}</strong> ", result=result),
                fig.frame(
                    fig.highlight(image, changed),
                    f"<strong>{texts.percent(share)} of the pixels changed</strong> "
                    + ("against all branches on." if off else "Switch a branch off."),
                    alt="Where the labels changed",
                    photo_size=size,
                ),
                classes="cl-scope",
            )
            + fig.row(
                draw.taps_table(taps, on, grid, stride, cell_of(at, grid, size)),
                draw.two_bars(entry, result, at, off),
                classes="cl-pair",
            )
        )

    @errors_as_html
    def receptive(self, key: str, pixel: Pixel, index: int | None) -> Iterator[str]:
        """Yield the effective and the theoretical receptive field of a pixel's logit."""
        entry = self.lab.entry(key)
        at = selected_pixel(pixel, entry)
        result, size = entry.result, entry.result.class_map.shape
        target = int(result.class_map[at]) if index is None or index < 0 else int(index)
        network = self.lab.segmenter(entry).model.network
        yield texts.working("Following the gradient back to the photo …", 1, 3)
        batch = self.lab.batch(entry)
        with self.lab.service.exclusive():
            field = effective_receptive_field(network, batch, at, size, target)
        yield texts.working("Following the layers' geometry …", 2, 3)
        with self.lab.service.exclusive():
            whole = theoretical_receptive_field(network, batch, at, size)
            layers = theoretical_receptive_field(network, batch, at, size, pooling=False)
        seen = batch.shape[-2:]
        core = energy_box(field, 0.9)
        boxes = [
            (scale_box(box, seen, size), kind)
            for box, kind in ((layers, "theory"), (core, "effect"))
            if box
        ]
        drawing = "".join(draw.rect(box, f"cl-{kind}-box") for box, kind in boxes)
        name = texts.escape(display_name(result.categories[target]))
        bright = np.sqrt(field / max(float(field.max()), 1e-30))
        picture = fig.frame(
            fig.heatmap_overlay(entry.photo.image, bright, 0.85),
            f"How much each pixel moves the logit of <strong>{name}</strong> at row {at[0]}, "
            f"column {at[1]}; the square root of the gradient. " + fig.scale("none", "most"),
            alt="Heat map: the effective receptive field, with boxes",
            photo_size=size,
            drawing=drawing + draw.cross(at, size),
        )
        yield self.lab.model_line(entry) + fig.row(
            picture, draw.fields_text(whole, layers, core, seen), classes="cl-pair"
        )
