"""What the benchmarks reckon, and each command in its smallest form; no time is judged."""

import io
import json
import sys
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks.report import render
from benchmarks.report.output import EXAMPLES
from benchmarks.report.tables import Target, markdown, targets_table
from benchmarks.server.load import _command, parse
from benchmarks.speed import engines
from benchmarks.speed.agreement import agreement
from benchmarks.speed.baselines import load_ours, our_script, random_network
from benchmarks.speed.engines import difference
from benchmarks.speed.original_script import article_script, decode_segmap
from benchmarks.speed.peak import SHAPES, count_flops, count_with_zeros
from benchmarks.speed.speed_tables import speed_report, speed_targets
from benchmarks.speed.timing import Clock, alternate, spread, total
from helpers.server import ROOT, peak_mb, resident_mb
from segmentation.palette import colorize, voc_palette

COMMANDS = [f"benchmarks.{name}" for name in render.COMMANDS.values()]
COMMANDS += [f"benchmarks.{name}" for name in ("report.render", "server.cost", "server.cost_ray")]
COMMANDS += ["benchmarks.speed.viewer"]


def run(name, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [name, *words])
    import_module(name).main()


def test_contenders_take_turns_and_the_warm_up_is_not_kept():
    order = []

    def work(name):
        def once(clock):
            order.append(name)
            for stage in ("first", "second", "first"):
                with clock(stage):
                    pass

        return once

    times = alternate({"a": work("a"), "b": work("b")}, 3)
    assert order == ["a", "b"] * 4
    assert {key: {s: len(v) for s, v in stages.items()} for key, stages in times.items()} == {
        "a": {"first": 3, "second": 3},
        "b": {"first": 3, "second": 3},
    }
    assert total({"x": [1.0, 2.0], "y": [10.0, 20.0]}) == [11.0, 22.0]


def test_a_spread_is_median_minimum_and_maximum():
    several = spread([0.003, 0.001, 0.002, 0.009], 1e3)
    assert (several.median, several.minimum, several.maximum) == pytest.approx((2.5, 1, 9))
    assert several.text(1) == "2.5 (1.0 to 9.0)"


@pytest.mark.parametrize(
    ("upper", "measured", "met"),
    [(False, 3.3, True), (False, 3.29, False), (True, 3.3, True), (True, 3.31, False)],
)
def test_a_target_is_met_from_its_bound_on(upper, measured, met):
    target = Target("network", 3.3, measured, upper=upper, note="2.00x at the same size")
    assert target.met is met
    assert f"| {measured:.2f}x | 2.00x at the same size | {'yes' if met else '**no**'} |" in (
        targets_table([target])
    )


def timed(**networks):
    stages = ("decode", "preprocess", "network", "postprocess", "encode")
    whole = {"article", "preset", "exact", "default", "bfloat16"}
    times = {
        key: {s: [0.001] * 3 for s in stages} if key in whole else {} for key in [*networks, "peak"]
    }
    for key, seconds in networks.items():
        times[key]["network"] = [seconds, 1.5 * seconds, 1.2 * seconds]
    return times


def speed_values():
    times = timed(article=4.0, article_same_size=2.0, default=1.0, openvino=1.0, onnxruntime=0.9)
    found = {
        "flops": {"article": 3e11, "preset": 2e11, "ours": 9e10, "ours, zeros included": 1e11},
        "times": times,
        "difference": {"default": {"share": 0.0, "labels": 0.9999}},
    }
    return {
        "photo": "cat.jpg",
        "runs": 3,
        "models": {"deeplabv3_resnet50": found},
        "peak": {"float32": {"gflops": 100.0, "of": "a convolution"}},
    }


def test_the_speed_table_and_its_promises_say_the_same():
    text = speed_report(speed_values())
    ours = next(line for line in text.splitlines() if "ours, default" in line)
    cells = [cell.strip() for cell in ours.strip("|").split("|")]
    assert cells[1:5] == ["1200 (1000 to 1500)", "4.00x", "2.00x", "90 %"]
    assert cells[6:] == ["3.99x", "1", "1", "1", "1", "99.99%"]
    targets = speed_targets(speed_values())
    assert [(round(t.measured, 2), t.met) for t in targets] == [
        (4.0, True),  # against the article's
        (100.0, True),  # of the peak, by the usual count
        (1.11, False),  # beside ONNX Runtime
        (1.0, True),  # beside OpenVINO
    ]
    assert targets[0].note == "2.00x at the same size"
    assert targets[1].note == "90 % without the zeros around the image"


def test_flops_of_a_known_convolution():
    layer = nn.Conv2d(4, 6, 3, stride=2, groups=2, bias=False)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), layer)
    # 9 x 11 cells of 3 to 4 channels; 4 x 5 cells of 3 x 3 taps, 2 of 4 channels to each of 6
    assert count_flops(network, (9, 11)) == 2 * (9 * 11 * 3 * 4 + 4 * 5 * 9 * 2 * 6)
    assert count_with_zeros(network, (9, 11)) == count_flops(network, (9, 11))


def test_taps_outside_the_picture_are_no_work():
    atrous = nn.Conv2d(3, 5, 3, dilation=4, padding=4)
    picture = torch.ones(1, 1, 7, 6)
    inside = nn.functional.conv2d(picture, torch.ones(1, 1, 3, 3), dilation=4, padding=4).sum()
    assert count_flops(atrous, (7, 6)) == 2 * 3 * 5 * int(inside)
    assert count_with_zeros(atrous, (7, 6)) == 2 * 3 * 5 * 9 * 7 * 6
    padded = nn.Conv2d(*SHAPES[0][:3], padding=1)
    assert count_flops(padded, (130, 130), 64) == 2 * 64 * 64 * (3 * 130 - 2) ** 2
    with torch.device("meta"):
        assert count_flops(nn.Conv2d(3, 5, 3), (64, 64)) == 2 * 3 * 5 * 9 * 62 * 62


def test_the_peak_of_memory_is_of_this_work_alone():
    if not resident_mb():
        pytest.skip("this system does not tell a process's memory in /proc")
    peak, above = peak_mb(lambda: np.ones(6_000_000).sum())  # 48 MB
    assert 40 < above < 100
    assert peak > above
    assert peak_mb(lambda: None)[1] < 10


def test_agreement_is_a_share_and_takes_no_other_size():
    one = np.zeros((4, 5), np.uint8)
    other = one.copy()
    other[0, :3] = 1
    assert agreement(one, one) == 1
    assert agreement(one, other) == pytest.approx(0.85)
    with pytest.raises(ValueError, match="cannot be compared"):
        agreement(one, other.T)


def test_another_network_is_noticed(rng):
    logits = rng.normal(size=(3, 4, 5))
    same = difference(logits, logits)
    assert same == {"share": 0.0, "labels": 1.0}
    moved = logits.copy()
    moved[0, 0, 0] += 0.5 * np.ptp(logits)
    assert difference(moved, logits)["share"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="another network"):
        difference(logits[:2], logits)


def test_the_articles_loop_gives_the_palettes_colours(rng):
    labels = rng.integers(0, 21, (9, 11))
    assert np.array_equal(decode_segmap(labels), colorize(labels.astype(np.uint8), voc_palette()))


def test_article_and_ours_end_in_an_overlay_of_the_photos_size(tmp_path, one_thread):
    name = "lraspp_mobilenet_v3_large"
    network = random_network(name)
    data = (EXAMPLES / "chelsea.jpg").read_bytes()
    segmenter = load_ours(network, name, tmp_path, size=64)
    for script in (
        lambda clock: article_script(network, data, clock, 64),
        lambda clock: our_script(segmenter, data, clock),
    ):
        clock = Clock()
        assert Image.open(io.BytesIO(script(clock))).size == (451, 300)
        assert list(clock.seconds) == ["decode", "preprocess", "network", "postprocess", "encode"]


def test_the_page_gets_its_parts_between_the_marks():
    page = "# Title\n<!-- a -->\nold\n<!-- /a -->\nprose\n<!-- b --><!-- /b -->\n"
    made = {"a": markdown(["x", "y"], [[r"\1", 2]]), "b": "new"}
    wanted = (
        "# Title\n<!-- a -->\n| x | y |\n| --- | ---: |\n| \\1 | 2 |\n<!-- /a -->\nprose\n"
        "<!-- b -->\nnew\n<!-- /b -->\n"
    )
    assert render.render(page, made) == wanted
    assert render.render(wanted, made) == wanted
    with pytest.raises(ValueError, match="<!-- c -->"):
        render.render(page, {"c": ""})


def test_the_page_is_what_its_values_make():
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    made = render.parts(render.read_results(ROOT / "benchmarks" / "results"))
    assert render.render(page, made) == page, "run python -m benchmarks --render"


def test_the_loads_command_names_no_file_of_this_machine():
    options = parse(["--requests", "5", "--cache-mb", "32", "--json", "/somewhere/load.json"])
    assert _command(options) == "python -m benchmarks.server.load --requests 5 --cache-mb 32.0"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(name, monkeypatch, "--help")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.slow
def test_speed_in_its_smallest_form(tmp_path, monkeypatch, capsys, one_thread):
    file = tmp_path / "speed.json"
    words = ["--models", "lraspp_mobilenet_v3_large", "--runs", "1", "--size", "64"]
    run("benchmarks.speed.networks", monkeypatch, *words, "--json", str(file))
    values = json.loads(file.read_bytes())
    printed = capsys.readouterr().out
    assert "| lraspp_mobilenet_v3_large, ours, default |" in printed
    assert "at least 5x" in printed
    found = values["models"]["lraspp_mobilenet_v3_large"]
    assert found["sizes"] == {"article": [79, 79], "ours": [64, 64]}
    assert {"article", "article_same_size", "preset", "exact", "default"} <= set(found["times"])
    assert found["difference"]["default"]["share"] < 1e-3


@pytest.mark.slow
def test_memory_in_its_smallest_form(tmp_path, monkeypatch, capsys):
    if not resident_mb():
        pytest.skip("this system does not tell a process's memory in /proc")
    file = tmp_path / "memory.json"
    words = ["--megapixels", "0.3", "--ways", "default", "--no-webp"]
    run("benchmarks.server.memory", monkeypatch, *words, "--json", str(file))
    assert "| ours, default |" in capsys.readouterr().out
    peak = json.loads(file.read_bytes())["peaks"]["default"]["0.3"]
    assert peak["peak"] > peak["above"] > 0


@pytest.mark.slow
def test_stages_in_their_smallest_form(tmp_path, monkeypatch, capsys, one_thread):
    file = tmp_path / "stages.json"
    words = ["--runs", "1", "--size", "300", "400", "--json", str(file)]
    run("benchmarks.speed.stages", monkeypatch, *words)
    values = json.loads(file.read_bytes())
    assert list(values["times"]) == ["article", "preset", "exact", "default", "page"]
    assert "| ours, default: what the page shows |" in capsys.readouterr().out


@pytest.mark.slow
def test_agreement_in_its_smallest_form(tmp_path, monkeypatch, capsys, one_thread):
    monkeypatch.setattr("benchmarks.speed.agreement.SHARED", tmp_path)
    file = tmp_path / "agreement.json"
    run("benchmarks.speed.agreement", monkeypatch, "--most", "1", "--json", str(file))
    (row,) = json.loads(file.read_bytes())["rows"]
    assert row["names"] == ["astronaut.jpg"]
    assert row["pairs"]["exact and float32"][0] > 0.999
    assert "| embedded, examples (1) | float32 and bfloat16 |" in capsys.readouterr().out


def test_another_runtime_on_the_same_network(tmp_path):
    if "onnxruntime" not in engines.installed():
        pytest.skip("no ONNX Runtime here (pip install -r requirements-bench.txt)")
    network = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU()).eval()
    batch = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    engines.export(Out(network), batch, tmp_path / "network.onnx")
    answer = engines.onnx_runtime(tmp_path / "network.onnx")(batch.numpy())
    np.testing.assert_allclose(answer, network(batch).detach().numpy(), atol=1e-5)


class Out(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, batch):
        return {"out": self.network(batch)}
