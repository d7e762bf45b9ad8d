"""Exported programs: results, forms, cards and errors; attacks are in test_program_attacks.py."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim

import segmentation
from helpers import tamper
from helpers.tiny import ColourNet, card, photo, save_program
from segmentation import ModelError
from segmentation.models.card import parse_card
from segmentation.models.exported.program import SizeRange, load_program

CPU = torch.device("cpu")
FREE = ({2: Dim.AUTO, 3: Dim.AUTO},)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A program with dynamic sides and a card."""
    return save_program(tmp_path_factory.mktemp("program") / "good.pt2")


def export(
    path: Path,
    network: nn.Module,
    shapes: object = FREE,
    example: torch.Tensor | None = None,
    **changes: object,
) -> Path:
    """Any network as a program with a card."""
    example = torch.rand(1, 3, 64, 96) if example is None else example
    program = torch.export.export(network.eval(), (example,), dynamic_shapes=shapes)
    torch.export.save(program, path, extra_files={"model.json": json.dumps(card(**changes))})
    return path


def test_a_program_answers_as_its_network_does(good):
    program = load_program(good, CPU)
    batch = torch.rand(1, 3, 40, 52)
    with torch.inference_mode():
        assert torch.equal(program.network(batch)["out"], ColourNet()(batch)["out"])
    assert program.sides == (SizeRange(8, 8192), SizeRange(8, 1 << 15))
    assert program.card.name == "colour_net"


def test_the_card_decides_names_colours_and_preprocessing(tmp_path):
    categories = [f"thing {i}" for i in range(21)]
    colors = [[i, 2 * i, 255 - i] for i in range(21)]
    path = export(
        tmp_path / "own.pt2",
        ColourNet(),
        categories=categories,
        palette=colors,
        mean=[0.5, 0.5, 0.5],
        std=[0.25, 0.5, 1],
        resize=48,
    )
    segmenter = segmentation.load(path, device="cpu")
    assert segmenter.categories == tuple(categories)
    assert segmenter.model.card.palette == tuple(map(tuple, colors))
    batch = segmenter.preprocess(segmentation_photo(96, 144))
    assert batch.shape == (1, 3, 48, 72)
    assert batch[0, :, 0, 0].tolist() == [2.0, -1.0, -0.5]  # red: (1 - mean) / std and -mean / std


def segmentation_photo(height: int, width: int) -> object:
    from PIL import Image

    return Image.fromarray(photo(height, width))


def test_the_tiny_network_finds_its_colours(good):
    result = segmentation.load(good, device="cpu").predict(photo())
    assert result.model == "colour_net"
    assert next(a.name for a in result.areas()) in ("cat", "dog", "person")
    assert {a.name for a in result.areas()} == {"__background__", "cat", "dog", "person"}
    assert result.class_map[10, 10] == 15
    assert result.class_map[10, 95] == 8
    assert result.class_map[10, 180] == 12
    assert result.class_map[120, 95] == 0


class TupleNet(ColourNet):
    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.classify(batch),)


class TensorNet(ColourNet):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.classify(batch)


class UpNet(ColourNet):
    """Computes sizes, keeps constants and buffers, answers with more than "out"."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.ones(3)[:, None, None]
        self.register_buffer("shift", torch.zeros(1), persistent=False)

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.classify(batch * self.gain + self.shift)
        size = (batch.shape[2] // 2 + 1, batch.shape[3])
        out = nn.functional.interpolate(logits, size, mode="bilinear")
        return {"aux": logits.softmax(1), "out": out}


class SquareNet(ColourNet):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.classify((batch + batch.transpose(2, 3)) / 2)


FORMS = {
    "tuple": (TupleNet, FREE, (1, 3, 64, 96), torch.float32),
    "tensor": (TensorNet, FREE, (1, 3, 64, 96), torch.float32),
    "sizes": (UpNet, FREE, (1, 3, 64, 96), torch.float32),
    "half": (ColourNet, FREE, (1, 3, 64, 96), torch.float16),
    "double": (ColourNet, FREE, (1, 3, 64, 96), torch.float64),
    "free batch": (ColourNet, ({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO},), (2, 3, 64, 96), None),
    "batch of two": (ColourNet, FREE, (2, 3, 64, 96), None),
    "fixed": (ColourNet, None, (1, 3, 64, 96), None),
    "eights": (
        ColourNet,
        ({2: 8 * Dim("h", min=2, max=40), 3: 8 * Dim("w", min=2, max=40)},),
        (1, 3, 64, 96),
        None,
    ),
    "square": (
        SquareNet,
        ({2: Dim("s", min=16, max=99), 3: Dim("s", min=16, max=99)},),
        None,
        None,
    ),
}


@pytest.mark.parametrize("form", ["free batch", "batch of two", "fixed"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_photo_of_a_batch_gets_its_own_logits(form, count, tmp_path):
    network, shapes, example, _ = FORMS[form]
    program = load_program(export(tmp_path / "b.pt2", network(), shapes, torch.rand(example)), CPU)
    batch = torch.rand(count, 3, 64, 96, generator=torch.Generator().manual_seed(count))
    with torch.inference_mode():
        torch.testing.assert_close(program.network(batch)["out"], ColourNet()(batch)["out"])


@pytest.mark.parametrize("form", FORMS)
def test_programs_of_every_form_label_photos_of_every_shape(form, tmp_path):
    network, shapes, example, dtype = FORMS[form]
    inputs = torch.rand(example or (1, 3, 64, 64), dtype=dtype or torch.float32)
    path = export(tmp_path / "form.pt2", network().to(dtype or torch.float32), shapes, inputs)
    segmenter = segmentation.load(path, device="cpu")
    for height, width in ((100, 150), (151, 90), (1, 1), (1, 700), (700, 1)):
        result = segmenter.predict(np.full((height, width, 3), (0, 255, 0), np.uint8))
        assert result.class_map.shape == (height, width)
        assert (result.class_map == 8).all()
        assert result.logits.dtype == torch.float32
    sides = segmenter.model.sides
    if form == "fixed":
        assert sides == (SizeRange(64, 64, 0), SizeRange(96, 96, 0))
        assert "was exported for 64 x 96 pixels" in segmenter.note
    elif form == "eights":
        assert sides == (SizeRange(16, 320, 8), SizeRange(16, 320, 8))
        assert segmenter.preprocess(segmentation_photo(70, 70), size=70).shape[2:] == (72, 72)
    elif form == "square":
        assert "squeezed to a square" in segmenter.note
        assert segmenter.preprocess(segmentation_photo(50, 90)).shape[2:] == (64, 64)


def test_sides_snap_to_what_a_program_takes():
    assert [SizeRange(33, 97).nearest(n) for n in (1, 33, 50.4, 200)] == [33, 33, 50, 97]
    assert [SizeRange(16, 80, 8).nearest(n) for n in (1, 27, 30, 999)] == [16, 24, 32, 80]
    assert SizeRange(257, 257, 0).nearest(520) == 257


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "lacks the field 'name'"),
        ({"name": "  "}, "name is '  ', not one of 1 to 100"),
        ({"name": 3}, "name is not a text"),
        ({"categories": None}, "lacks the field 'categories'"),
        ({"categories": "cat dog"}, "categories must be a list of 2 to 256 names; found 'cat dog'"),
        ({"categories": ["one"]}, "found 1 of them"),
        ({"categories": ["a"] * 257}, "found 257 of them"),
        ({"categories": ["a", 7]}, "category 1 of the card is 7"),
        ({"categories": ["a", "b" * 101]}, "category 1 of the card"),
        ({"categories": ["a", "b\x1b[2J"]}, r"category 1 of the card is 'b\\x1b"),
        ({"mean": [0.5, 0.5]}, r"mean is \[0.5, 0.5\]: it must be three finite numbers"),
        ({"mean": [0.5, 0.5, float("nan")]}, "mean is .*nan"),
        ({"mean": [0.5, 0.5, "0.5"]}, "mean is "),
        ({"std": [0.5, 0, 0.5]}, "std is .* three numbers above 0"),
        ({"std": None}, "lacks the field 'std'"),
        ({"resize": 31}, "resize is 31"),
        ({"resize": 5000}, "resize is 5000"),
        ({"resize": 99.5}, "resize is 99.5"),
        ({"resize": True}, "resize is True"),
        ({"palette": "rainbow"}, "rainbow"),
        ({"palette": [[0, 0, 0]]}, "1 colours for 21 classes"),
        ({"palette": [[0, 0, 300]] * 21}, "Colour 0"),
        ({"license": ["MIT"]}, "license is not a text"),
        ({"miou": "high"}, "miou is 'high', not a number"),
    ],
)
def test_a_wrong_card_is_refused_by_the_field(change, message):
    with pytest.raises(ModelError, match=message):
        parse_card(json.dumps(card(**change)))


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 100_000, '{"name": "x"}'])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(ModelError, match="card"):
        parse_card(text)


def test_a_program_without_card_says_how_to_add_one(good, tmp_path):
    bare = tamper.change_part(good, tmp_path / "bare.pt2", "extra/model.json", None)
    with pytest.raises(ModelError, match=r"carries no card .*extra_files=\{'model.json'"):
        load_program(bare, CPU)


def test_a_huge_card_is_not_read(good, tmp_path):
    path = tamper.change_part(good, tmp_path / "h.pt2", "extra/model.json", b" " * (2 << 20))
    with pytest.raises(ModelError, match="at most 1048576 are read"):
        load_program(path, CPU)


def test_a_card_that_does_not_fit_the_program_is_refused(tmp_path):
    path = export(tmp_path / "two.pt2", ColourNet(), categories=["a", "b"])
    with pytest.raises(ModelError, match="with 21 classes, but its card lists 2 categories"):
        load_program(path, CPU)


class OtherNames(ColourNet):
    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"one": self.classify(batch), "two": self.classify(batch)}


class TwoInputs(ColourNet):
    def forward(self, batch: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return self.classify(batch + other)


def test_programs_that_are_no_segmentation_networks_are_refused(tmp_path):
    path = export(tmp_path / "names.pt2", OtherNames())
    with pytest.raises(ModelError, match="answers with 'one', 'two': call its logits 'out'"):
        segmentation.load(path, device="cpu")
    two = torch.export.export(TwoInputs(), (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)))
    torch.export.save(two, tmp_path / "t.pt2", extra_files={"model.json": json.dumps(card())})
    with pytest.raises(ModelError, match="must take one tensor"):
        load_program(tmp_path / "t.pt2", CPU)
    gray = nn.Conv2d(1, 21, 3)
    with pytest.raises(ModelError, match=r"not \(N, 3, H, W\)"):
        load_program(export(tmp_path / "g.pt2", gray, FREE, torch.rand(1, 1, 9, 9)), CPU)


def test_files_that_are_no_programs_are_refused(tmp_path):
    for name, data in (("empty", b""), ("text", b"hello"), ("zip", None)):
        path = tmp_path / f"{name}.pt2"
        if data is None:
            tamper.write(path, {"readme": b"not a program"})
        else:
            path.write_bytes(data)
        with pytest.raises(ModelError, match=f"{name}.pt2 cannot be used"):
            segmentation.load(path)
    with pytest.raises(ModelError, match="there is no file"):
        segmentation.load(tmp_path / "none.pt2")
    (tmp_path / "folder.pt2").mkdir()
    with pytest.raises(ModelError, match="it is no file"):
        segmentation.load(tmp_path / "folder.pt2")


def test_truncations_and_changed_bytes_are_refused(good, tmp_path, rng):
    whole = good.read_bytes()
    weights = whole.index(ColourNet().classify.bias.detach().numpy().tobytes())
    damaged = [whole[:cut] for cut in rng.integers(0, len(whole) - 1, 20)]
    damaged.append(whole[:weights] + bytes([whole[weights] ^ 1]) + whole[weights + 1 :])
    for data in damaged:
        (tmp_path / "d.pt2").write_bytes(data)
        with pytest.raises(
            ModelError, match=r"d\.pt2 cannot be used: it (is truncated|was chan|is no torch)"
        ):
            load_program(tmp_path / "d.pt2", CPU)


@pytest.mark.shared
def test_the_published_program_is_read_exactly(shared):
    path = shared / "models" / "deeplabv3_mobilenet_v2_voc.pt2"
    program = load_program(path, CPU)
    batch = torch.rand(1, 3, 129, 161) * 2 - 1
    with torch.inference_mode():
        expected = torch.export.load(path).module()(batch)["out"]
        assert torch.equal(program.network(batch)["out"], expected)
    assert program.sides == (SizeRange(33, 8192), SizeRange(33, 8192))
