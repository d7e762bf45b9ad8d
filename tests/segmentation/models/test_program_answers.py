"""What exported programs answer with, and what their cards say, taken rightly or refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

import segmentation
from helpers.tiny import CAT, ColourNet, card, photo
from segmentation import ModelError
from segmentation.models.card import parse_card
from segmentation.models.exported.program import load_program

CPU = torch.device("cpu")
FREE = ({2: Dim.AUTO, 3: Dim.AUTO},)
TWO = ["elsewhere", "green"]


def export(path: Path, network: nn.Module, **changes: object) -> Path:
    """A network as it is, in its own mode, as a program with a card."""
    batch = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(network, (batch,), dynamic_shapes=FREE)
    torch.export.save(program, path, extra_files={"model.json": json.dumps(card(**changes))})
    return path


# ---- a card's numbers in the wrong unit


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (
            {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
            r"divide by 255, which makes mean \[0.485, 0.456, 0.406\] and std \[0.229, 0.224, 0.22",
        ),
        ({"mean": [123.675, 116.28, 103.53]}, r"divide by 255, which makes mean \[0.485"),
        ({"std": [58.395, 57.12, 57.375]}, r"and std \[0.229, 0.224, 0.225\]"),
        ({"mean": [127.5] * 3, "std": [127.5] * 3}, r"makes mean \[0.5, 0.5, 0.5\] and std \[0.5"),
        ({"mean": [0, 0, 0], "std": [255, 255, 255]}, r"makes mean .* and std \[1.0, 1.0, 1.0\]"),
        ({"mean": [0.0019, 0.0018, 0.0016], "std": [0.0009, 0.0009, 0.0009]}, "1/255 at least"),
        ({"miou": 674}, "miou is 674: it is in percent"),
        ({"miou": -1}, "in percent"),
        ({"parameters": 3.2}, "parameters is 3.2, not a whole number"),
        ({"palette": [[0.5, 0.2, 0.1]] * 21}, r"Colour 0 .* from 0 to 255"),
    ],
)
def test_numbers_in_the_wrong_unit_are_refused_with_the_remedy(change, remedy):
    with pytest.raises(ModelError, match=remedy):
        parse_card(json.dumps(card(**change)))


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.485, 0.456, 0.406], "std": [1 / 255] * 3},  # shown 0 to 255
        {"mean": [0, 0, 0], "std": [1, 1, 1]},
        {"mean": [0.5] * 3, "std": [0.5] * 3, "miou": 67.4, "parameters": 11029328},
        {"miou": 0.4},  # of a network that has hardly learned
    ],
)
def test_right_numbers_are_taken(change):
    parse_card(json.dumps(card(**change)))


# ---- probabilities instead of logits


class Says(ColourNet):
    """Says what `how` makes of the logits."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, batch: Tensor) -> object:
        logits = self.classify(batch) / 4
        size = batch.shape[2:]
        if self.how == "softmax":
            return logits.softmax(1)
        if self.how == "enlarged":
            return {"out": F.interpolate(logits.softmax(1), size, mode="bilinear")}
        if self.how == "by hand":
            grown = (logits - logits.amax(1, keepdim=True)).exp()
            return grown / grown.sum(1, keepdim=True)
        if self.how == "mean of two":
            return (logits.softmax(1) + (logits * 1.0).softmax(1)) / 2
        if self.how == "percent":
            return logits.softmax(1) * 100
        if self.how == "log":
            return logits.log_softmax(1)
        if self.how == "sigmoid":
            return logits.sigmoid()
        return {"out": logits}


HOW = ("softmax", "by hand", "mean of two", "percent", "log", "sigmoid", "enlarged")


@pytest.mark.parametrize("how", HOW)
def test_probabilities_are_noticed_on_the_first_photo_and_treated_rightly(how, tmp_path):
    plain = segmentation.load(export(tmp_path / "l.pt2", Says("logits").eval()), device="cpu")
    other = segmentation.load(export(tmp_path / "p.pt2", Says(how).eval()), device="cpu")
    expected, found = plain.predict(photo()), other.predict(photo())  # the first photo of each
    assert np.mean(found.class_map == expected.class_map) > (0.9 if how == "enlarged" else 0.9999)
    inner = (slice(20, 60), slice(20, 50))  # away from borders, which are enlarged differently
    np.testing.assert_allclose(
        found.confidence[inner].astype(float), expected.confidence[inner].astype(float), atol=2
    )
    again = other.predict(photo())
    assert np.array_equal(again.class_map, found.class_map)


def test_logits_that_look_like_probabilities_once_are_found_out(tmp_path):
    """All logits of a black photo lie in [0, 1] and add up to 1; those of a bright one do not."""

    class Sly(ColourNet):
        def forward(self, batch: Tensor) -> Tensor:
            even = torch.full_like(batch[:, :1], 1 / 21).expand(-1, 21, -1, -1)
            return even + 9 * batch.mean(1, keepdim=True) * torch.eye(21)[CAT][:, None, None]

    program = load_program(export(tmp_path / "s.pt2", Sly().eval()), CPU)
    dark, bright = torch.zeros(1, 3, 64, 96), torch.ones(1, 3, 64, 96)
    program.network(dark)
    for _ in range(2):
        said = program.network(bright)["out"]
        torch.testing.assert_close(said[0, CAT], torch.full((64, 96), 9 + 1 / 21))


# ---- which of several answers


class Answers(ColourNet):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def forward(self, batch: Tensor) -> object:
        logits = self.classify(batch)
        other = logits * 0
        features = batch[:, :2]
        vector = batch.mean((2, 3))
        return {
            "logits": {"logits": logits},
            "logits and more": {"loss": vector, "logits": logits, "features": features},
            "odd name": {"segmap": logits, "features": features},
            "aux first": {"aux": other, "seg_logits": logits},
            "out wins": {"aux": other, "logits": other, "out": logits},
            "main and aux": (logits, other),
            "one 4-D": (vector, logits),
            "features first": (features, logits),
            "list": [logits],
            "nested": {"out": {"logits": logits}, "aux": (other,)},
            "nested tuple": ((logits, other), vector),
        }[self.form]


FORMS = (
    *("logits", "logits and more", "odd name", "aux first", "out wins"),
    *("main and aux", "one 4-D", "features first", "list"),
    *("nested", "nested tuple"),
)


@pytest.mark.parametrize("form", FORMS)
def test_the_logits_among_several_answers_are_taken(form, tmp_path):
    segmenter = segmentation.load(export(tmp_path / "a.pt2", Answers(form).eval()), device="cpu")
    result = segmenter.predict(photo())
    assert (result.class_map[10, 10], result.class_map[10, 95]) == (15, CAT)
    with torch.inference_mode():
        batch = segmenter.preprocess(segmenter_photo())
        torch.testing.assert_close(result.logits, ColourNet()(batch)["out"][0])


def segmenter_photo() -> object:
    from PIL import Image

    return Image.fromarray(photo())


class Labels(ColourNet):
    def __init__(self, keep: bool) -> None:
        super().__init__()
        self.keep = keep

    def forward(self, batch: Tensor) -> Tensor:
        return self.classify(batch).argmax(1, keepdim=self.keep)


class ChannelsLast(ColourNet):
    def forward(self, batch: Tensor) -> Tensor:
        return self.classify(batch).permute(0, 2, 3, 1)


class Vector(ColourNet):
    def forward(self, batch: Tensor) -> Tensor:
        return self.classify(batch).mean((2, 3))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Labels(True), "leave out its last argmax"),
        (Labels(False), "leave out its last argmax"),
        (ChannelsLast(), r"not the second dimension .* return logits \(N, C, h, w\)"),
        (Vector(), r"answers with \(2, 21\), not with logits \(N, C, h, w\)"),
    ],
)
def test_what_is_no_map_of_logits_is_refused_when_it_is_loaded(network, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        segmentation.load(export(tmp_path / "n.pt2", network.eval()), device="cpu")


# ---- one channel


class OneChannel(nn.Module):
    """How green a cell is, as a logit or through a sigmoid of its own."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.weigh = nn.Conv2d(3, 1, 4, 4)
        with torch.no_grad():
            self.weigh.weight.copy_(torch.tensor([-2.0, 3.0, -2.0])[None, :, None, None] / 16)
            self.weigh.bias.fill_(-1.0)

    def forward(self, batch: Tensor) -> Tensor:
        said = self.weigh(batch)
        if self.how == "sigmoid":
            return said.sigmoid()
        if self.how == "enlarged":
            return F.interpolate(said.sigmoid(), scale_factor=2.0, mode="bilinear")
        if self.how == "by hand":
            return 1 / (1 + (-said).exp())
        if self.how == "squeezed":
            return said.squeeze(1)
        return said


@pytest.mark.parametrize("how", ["logit", "sigmoid", "enlarged", "by hand", "squeezed"])
def test_one_channel_becomes_two_classes_by_its_sigmoid(how, tmp_path):
    path = export(tmp_path / "o.pt2", OneChannel(how).eval(), categories=TWO)
    result = segmentation.load(path, device="cpu").predict(photo())
    assert result.categories == tuple(TWO)
    assert result.logits.shape[0] == 2
    assert (result.class_map[10, 10], result.class_map[10, 95], result.class_map[10, 180]) == (
        *(0, 1, 0),
    )
    probability = result.logits.softmax(0)[1]  # of green; inside the stripes it is known
    known = torch.tensor([-3.0, 2.0]).sigmoid()  # -2 - 1 where it is red, 3 - 1 where it is green
    middle = probability.shape[1] // 2
    torch.testing.assert_close(probability[2, [3, middle]], known, atol=1e-4, rtol=0)


def test_one_channel_with_one_category_says_what_is_missing(tmp_path):
    path = export(tmp_path / "o.pt2", OneChannel("logit").eval(), categories=["green"])
    with pytest.raises(ModelError, match=r"found 1 of them\. A network of one channel has two"):
        segmentation.load(path, device="cpu")
    path = export(tmp_path / "o.pt2", OneChannel("logit").eval(), categories=["a", "b", "c"])
    with pytest.raises(ModelError, match="answers with 1 classes, but its card lists 3"):
        segmentation.load(path, device="cpu")


# ---- colours and names


def test_two_classes_may_share_a_colour_with_a_warning(tmp_path):
    colors = [[i, 0, 0] for i in range(21)]
    colors[CAT] = colors[3]
    path = export(tmp_path / "c.pt2", ColourNet().eval(), palette=colors)
    segmenter = segmentation.load(path, device="cpu")
    note = "the card gives the same colour to 'bird' and 'cat': they cannot be told apart."
    assert segmenter.note == note
    assert segmenter.predict(photo()).class_map[10, 95] == CAT


@pytest.mark.parametrize(
    "pair", [("road", "road"), ("road", " road "), ("caf\u00e9", "cafe\u0301")]
)
def test_two_classes_may_not_share_a_name(pair):
    categories = [f"thing {i}" for i in range(19)]
    with pytest.raises(ModelError, match="categories 4 and 20 of the card are both named"):
        parse_card(
            json.dumps(card(categories=[*categories[:4], pair[0], *categories[4:], pair[1]]))
        )


# ---- training mode


class Dropping(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.net = ColourNet()
        self.norm = nn.BatchNorm2d(21, momentum=0.1)
        self.own = nn.BatchNorm2d(21, track_running_stats=False)
        self.drop = {"dropout2d": nn.Dropout2d(), "alpha": nn.AlphaDropout()}.get(
            kind, nn.Dropout(0.5)
        )

    def forward(self, batch: Tensor) -> Tensor:
        logits = self.net(batch)["out"]
        if self.kind == "batch norm":
            return self.norm(logits)
        if self.kind == "own norm":
            return self.own(logits)
        if self.kind == "noise":
            return logits + torch.rand_like(logits)
        if self.kind == "rrelu":
            return F.rrelu(logits, training=self.training)
        if self.kind == "attention":
            tokens = logits.flatten(2).transpose(1, 2)
            share = 0.5 if self.training else 0.0
            mixed = F.scaled_dot_product_attention(tokens, tokens, tokens, dropout_p=share)
            return logits + mixed.transpose(1, 2).unflatten(2, logits.shape[2:])
        return self.drop(logits)


@pytest.mark.parametrize(
    "kind", ["dropout", "dropout2d", "alpha", "batch norm", "rrelu", "attention"]
)
def test_a_program_exported_in_training_mode_is_refused(kind, tmp_path):
    message = r"(exported in training mode|as in training mode).*network\.eval\(\) before"
    with pytest.raises(ModelError, match=message):
        segmentation.load(export(tmp_path / "t.pt2", Dropping(kind).train()), device="cpu")
    segmenter = segmentation.load(export(tmp_path / "e.pt2", Dropping(kind).eval()), device="cpu")
    once, twice = segmenter.predict(photo()), segmenter.predict(photo())
    assert np.array_equal(once.class_map, twice.class_map)


def test_a_program_that_draws_random_numbers_is_refused(tmp_path):
    with pytest.raises(ModelError, match="operation rand_like makes two runs differ"):
        segmentation.load(export(tmp_path / "t.pt2", Dropping("noise").eval()), device="cpu")


def test_a_norm_without_statistics_of_its_own_is_no_training(tmp_path):
    segmentation.load(export(tmp_path / "e.pt2", Dropping("own norm").eval()), device="cpu")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "a Git LFS pointer"),
        (b"<!doctype html><html></html>", "a web page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
    ],
)
def test_other_files_called_pt2_are_named(data, kind, tmp_path):
    (tmp_path / "m.pt2").write_bytes(data)
    with pytest.raises(ModelError, match=f"m.pt2 cannot be used: it is {kind}"):
        segmentation.load(tmp_path / "m.pt2", device="cpu")
