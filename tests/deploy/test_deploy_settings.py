"""The deployment's settings: command line, YAML arguments and the cluster's file."""

from pathlib import Path

import pytest

import segmentation
from deploy.settings import GPU_BATCH, Settings, arguments_from, parse_settings
from page.options import Options


def test_a_yaml_files_args_become_command_line_arguments():
    args = {
        "model": "embedded",
        "max_replicas": 6,
        "extra_model": ["fcn_resnet50", "fcn_resnet101"],
    }
    words = arguments_from({**args, "compile": True, "weights": None, "auth": False})
    assert words == [
        *("--model", "embedded", "--max-replicas", "6"),
        *("--extra-model", "fcn_resnet50", "--extra-model", "fcn_resnet101"),
        "--compile",
    ]
    made = parse_settings(words)
    assert (made.page.model, made.page.compile, made.max_replicas) == ("embedded", True, 6)
    assert made.models == ("embedded", "fcn_resnet50", "fcn_resnet101")


def test_a_replica_with_a_gpu_takes_several_photos_at_once():
    made = parse_settings(["--model", "embedded", "--gpus", "1", "--max-replicas", "3"])
    assert (made.device, made.batch, made.width) == ("cuda", GPU_BATCH, 6 * GPU_BATCH)
    made = parse_settings(["--model", "embedded", "--gpus", "0.5", "--batch", "2"])
    assert made.batch == 2
    made = parse_settings(["--model", "embedded", "--replicas", "7"])
    assert (made.device, made.batch, made.max_replicas, made.width) == ("cpu", 1, 7, 14)


def test_without_weights_here_every_replica_has_the_built_in_model(monkeypatch):
    monkeypatch.setattr(segmentation.models.registry, "find_local_weights", lambda name: None)
    assert Settings(Options()).models == ("embedded",)
    monkeypatch.setattr(segmentation.models.registry, "find_local_weights", lambda name: "here")
    assert Settings(Options()).models == ("deeplabv3_mobilenet_v3_large", "embedded")


@pytest.mark.parametrize(
    "words",
    [["--share"], ["--replicas", "0"], ["--cpus", "-1"], ["--surge", "101"], ["--model", "nosuch"]],
)
def test_wrong_words_are_told(words, capsys):
    with pytest.raises(SystemExit) as end:
        parse_settings(words)
    assert end.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_the_old_name_of_an_extra_model_still_works(capsys):
    made = parse_settings(["--model", "embedded", "--also", "fcn_resnet50"])
    assert made.extra_models == ("fcn_resnet50",)
    with pytest.raises(SystemExit):
        parse_settings(["--help"])
    assert "--also" not in capsys.readouterr().out


def test_the_clusters_file_can_be_read_and_both_applications_agree():
    yaml = pytest.importorskip("yaml")
    file = Path(__file__).resolve().parents[2] / "deploy" / "serve.yaml"
    networks, page = yaml.safe_load(file.read_text())["applications"]
    assert networks["args"] == page["args"]
    made = parse_settings(arguments_from(networks["args"]))
    assert (made.gpus, made.batch, made.max_replicas) == (1, GPU_BATCH, 8)
    assert [one["import_path"] for one in (networks, page)] == [
        "deploy.ray_serve:networks",
        "deploy.ray_serve:page",
    ]
