"""The classroom's first four views: three steps, one pixel, the microscope, what it looks at."""

from collections.abc import Iterator, Sequence

import numpy as np

from page.classroom import drawings as draw
from page.classroom import figures as fig
from page.classroom import text as words
from page.classroom.session import ClassroomSession, Pixel, chosen, default_class, palette_of, told
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

REGIONS = 12  # boxes and masks at most


class PixelViews:
    """Views that draw a result and a pixel of it.

    Args:
        lab: finds answers and networks.
    """

    def __init__(self, lab: ClassroomSession) -> None:
        self.lab = lab

    @told
    def picker(self, key: str) -> Iterator[str]:
        """The labelled photo on which a pixel is chosen."""
        answer = self.lab.answer(key)
        yield fig.label_figure(
            answer.photo.image,
            answer.result,
            palette_of(answer),
            "Click a pixel, or move it with the arrow keys. ",
            classes="cl-picker",
        )

    @told
    def steps(self, key: str) -> Iterator[str]:
        """Classification, bounding, masking: three linked pictures."""
        answer = self.lab.answer(key)
        regions = answer.result.regions()[:REGIONS]
        palette = palette_of(answer)
        size = answer.result.class_map.shape
        boxes = "".join(draw.region_box(region, palette, size) for region in regions)
        masks = "".join(draw.region_mask(region, palette) for region in regions)
        objects = draw.count(len(regions), "object")
        yield self.lab.who(answer) + fig.row(
            draw.classification(answer, palette),
            fig.frame(
                fig.shrunk(answer.photo.image),
                f"<strong>2 Bounding</strong> Where? {objects}: a connected piece each.",
                alt=f"The photo with the boxes of {objects}",
                photo_size=size,
                drawing=boxes,
            ),
            fig.frame(
                fig.shrunk(answer.photo.image) // 2,
                "<strong>3 Masking</strong> Which pixels? Each one is decided on its own.",
                alt=f"The photo with the masks of {objects}",
                photo_size=size,
                drawing=masks,
            ),
            classes="cl-three",
        )

    @told
    def maps(self, key: str, index: int | None) -> Iterator[str]:
        """One class's probability, the entropy and the runner-up everywhere."""
        answer = self.lab.answer(key)
        result, image = answer.result, answer.photo.image
        index = default_class(result) if index is None else int(index)
        size = fig.fit(result.class_map.shape)
        values = class_probability_map(result.logits, index, size)
        bits = entropy_map(result.logits, size)
        most = float(np.log2(len(result.categories)))
        name = words.escape(display_name(result.categories[index]))
        runner = result.__class__(**{**vars(result), "class_map": result.runner_up.copy()})
        yield self.lab.who(answer) + fig.row(
            fig.frame(
                fig.heat_on(image, values),
                f"<strong>{name}</strong> at most {values.max():.0%} " + fig.scale("0 %", "100 %"),
                alt=f"Heat map: probability of {name}",
                photo_size=result.class_map.shape,
            ),
            fig.frame(
                fig.heat_on(image, bits / most),
                f"<strong>Entropy</strong> {bits.mean():.2f} bits on average "
                + fig.scale("0", f"{most:.2f} bits"),
                alt="Heat map: entropy",
                photo_size=result.class_map.shape,
            ),
            fig.label_figure(
                image, runner, palette_of(answer), "<strong>Runner-up</strong> the second choice. "
            ),
            linked=True,
        )

    def branches(self, key: str) -> list[str]:
        """Names of the ASPP's branches; none where the model has no ASPP."""
        answer = self.lab.answer(key)
        return [b.name for b in aspp_of(self.lab.segmenter(answer).model.network).branches]

    @told
    def microscope(self, key: str, pixel: Pixel, on: Sequence[str]) -> Iterator[str]:
        """The taps of each branch on the photo, and the labels without the branches that are off.

        The encoder runs once a photo; after that only the head does.
        """
        answer = self.lab.answer(key)
        network = self.lab.segmenter(answer).model.network
        aspp = aspp_of(network)
        at = chosen(pixel, answer)
        if not self.lab.has_encoded(key):
            yield words.working("Running the encoder …")
        encoded = self.lab.encoded(answer)
        off = [branch.name for branch in aspp.branches if branch.name not in on]
        with self.lab.service.exclusive(), ablated(network, off):
            result = replace_logits(answer.result, decode(network, encoded))
        grid, size = tuple(encoded.last.shape[-2:]), answer.result.class_map.shape
        taps = sampling_taps(aspp, at, grid, size)
        changed, share = changed_pixels(answer.result.class_map, result.class_map)
        palette, image = palette_of(answer), answer.photo.image
        stride = nominal_stride(encoded.input_size[0], grid[0])
        silent = f"Without {', '.join(off)}" if off else "All branches on"
        yield (
            self.lab.who(answer)
            + fig.row(
                draw.taps_figure(image, taps, at, on, size, cell_size=np.divide(size, grid)),
                fig.label_figure(image, result, palette, f"<strong>{silent}</strong> "),
                fig.frame(
                    fig.marked(image, changed),
                    f"<strong>{words.percent(share)} of the pixels changed</strong> "
                    + ("against all branches on." if off else "Switch a branch off."),
                    alt="Where the labels changed",
                    photo_size=size,
                ),
                classes="cl-scope",
            )
            + fig.row(
                draw.taps_table(taps, on, grid, stride, cell_of(at, grid, size)),
                draw.two_bars(answer, result, at, off),
                classes="cl-pair",
            )
        )

    @told
    def receptive(self, key: str, pixel: Pixel, index: int | None) -> Iterator[str]:
        """The effective receptive field of a pixel's logit beside the theoretical one."""
        answer = self.lab.answer(key)
        at = chosen(pixel, answer)
        result, size = answer.result, answer.result.class_map.shape
        asked = int(result.class_map[at]) if index is None or index < 0 else int(index)
        network = self.lab.segmenter(answer).model.network
        yield words.working("Following the gradient back to the photo …", 1, 3)
        batch = self.lab.batch(answer)
        with self.lab.service.exclusive():
            field = effective_receptive_field(network, batch, at, size, asked)
        yield words.working("Following the layers' geometry …", 2, 3)
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
        name = words.escape(display_name(result.categories[asked]))
        bright = np.sqrt(field / max(float(field.max()), 1e-30))
        picture = fig.frame(
            fig.heat_on(answer.photo.image, bright, 0.85),
            f"How much each pixel moves the logit of <strong>{name}</strong> at row {at[0]}, "
            f"column {at[1]}; the square root of the gradient. " + fig.scale("none", "most"),
            alt="Heat map: the effective receptive field, with boxes",
            photo_size=size,
            drawing=drawing + draw.cross(at, size),
        )
        yield self.lab.who(answer) + fig.row(
            picture, draw.fields_text(whole, layers, core, seen), classes="cl-pair"
        )
