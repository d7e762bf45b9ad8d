"""What is there without torch, and that it is what torch and torchvision say."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torchvision.models import get_model_weights

import segmentation
from helpers.server import ROOT
from segmentation import MODELS
from segmentation.networks.build import NETWORKS, TORCHVISION_NETWORKS

HOMES = [
    {"TORCH_HOME": "~/here"},
    {"TORCH_HOME": "/there", "XDG_CACHE_HOME": "/elsewhere"},
    {"XDG_CACHE_HOME": "/elsewhere"},
    {},
]
"""Variables that say where torch.hub keeps downloads."""

CHILD = """
import json, os, sys
import segmentation as s
from segmentation.models.weights import hub_cache_dir
from segmentation.explain.colormap import apply_colormap
from segmentation.explain.perturbations import PERTURBATIONS
from segmentation.inference.metrics import grade

def hub_folders(folder):
    found = []
    for home in json.loads(sys.argv[1]):
        for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
        os.environ.update(home)
        found.append(str(folder()))
    return found

s.MODELS, s.has_embedded(), s.find_weights(s.MODELS["fcn_resnet50"]), s.default_model("cpu")
s.open_photo, s.blend, s.write_indexed_png, s.ModelCard
told = {"hub": [hub_folders(hub_cache_dir)]}
told["imported"] = sorted({"torch", "torchvision"} & set(sys.modules))
told["first"] = [s.default_model()]
import torch.hub
told["first"].append(s.default_model())
told["hub"].append(hub_folders(hub_cache_dir))
told["hub"].append(hub_folders(lambda: os.path.join(torch.hub.get_dir(), "checkpoints")))
torch.hub.set_dir("/chosen")
told["chosen"] = str(hub_cache_dir())
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> dict:
    """What a fresh Python says before and after it has imported torch."""
    env = {**os.environ, "TORCH_HOME": "/nowhere", "PIXELWISE_WEIGHTS": ""}
    words = [sys.executable, "-c", CHILD, json.dumps(HOMES)]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def imported_for_types(package) -> set[str]:
    """The names that a type checker sees in a package."""
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = [node for node in nodes if (node.module or "").startswith(package.__name__ + ".")]
    return {alias.name for node in own for alias in node.names}


def test_the_package_gives_what_it_promises():
    assert imported_for_types(segmentation) == set(segmentation.__all__)
    for name in segmentation.__all__:
        assert getattr(segmentation, name) is not None
        assert name in dir(segmentation)
    with pytest.raises(AttributeError, match="'segmentation' has no attribute 'nothing'"):
        _ = segmentation.nothing


def test_models_pictures_and_palettes_need_no_torch(told):
    assert told["imported"] == []


@pytest.mark.parametrize("name", TORCHVISION_NETWORKS)
def test_what_is_said_of_published_weights_is_torchvisions(name):
    spec, weights = MODELS[name], get_model_weights(name).DEFAULT
    scores = weights.meta["_metrics"]["COCO-val2017-VOC-labels"]
    assert spec.url == weights.url
    assert spec.file == weights.url.rsplit("/", 1)[1]
    assert spec.bytes == round(weights.meta["_file_size"] * 2**20)
    assert spec.parameters == weights.meta["num_params"]
    assert (spec.miou, spec.pixel_acc) == (scores["miou"], scores["pixel_acc"])


def test_every_network_has_its_place_in_the_catalogue():
    assert set(MODELS) == {*NETWORKS, "embedded"}


@pytest.mark.parametrize("number", range(len(HOMES)))
def test_the_hub_folder_is_torchs(told, number):
    without, with_torch, torchs = (folders[number] for folders in told["hub"])
    assert without == with_torch == torchs
    assert told["chosen"] == os.path.join("/chosen", "checkpoints")


def test_the_first_choice_is_the_same_with_and_without_torch(told):
    without, with_torch = told["first"]
    assert without == with_torch
