"""The published JSON Schemas fit what the code makes, and nothing else."""

import copy
import json
import re

import jsonschema
import pytest
from jsonschema import Draft202012Validator

import segmentation
from helpers import tiny
from helpers.schemas import FOLDER, NAMES, check, load
from segmentation.cli.main import main
from segmentation.export.records import SCHEMA, pixel_record, result_facts


@pytest.fixture(scope="module")
def result(tiny_program):
    return segmentation.load(tiny_program, device="cpu").predict(tiny.photo())


def test_every_schema_is_one_of_its_draft():
    assert sorted(path.name.split(".")[0] for path in FOLDER.glob("*.json")) == sorted(NAMES)
    for name in NAMES:
        schema = load(name)
        Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"urn:pixelwise:{SCHEMA.split('/')[1]}:{name}"
        assert schema["properties"]["schema"]["const"] == SCHEMA


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_described_and_required(name):
    schema = load(name)
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part["required"] == list(part["properties"])
    for field, value in schema["properties"].items():
        assert value.get("description") or value.get("const"), field


def test_a_result_fits_and_a_changed_one_does_not(result):
    facts = {**result_facts(result), "notes": []}
    check("segment", json.loads(json.dumps(facts)))
    validator = Draft202012Validator(load("segment"))
    for field in facts:
        assert not validator.is_valid({k: v for k, v in facts.items() if k != field}), field
    assert validator.is_valid({**facts, "a_field_of_a_later_release": 1})
    broken = copy.deepcopy(facts)
    broken["classes"][0]["fraction"] = 25.0  # percent
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(broken)
    assert not validator.is_valid({**facts, "schema": "pixelwise/2"})


def test_a_line_of_the_command_line_fits(tiny_program, tmp_path, capsys):
    from PIL import Image

    Image.fromarray(tiny.photo()).save(tmp_path / "photo.png")
    photo = str(tmp_path / "photo.png")
    assert main([photo, "--model", str(tiny_program), "--out", str(tmp_path)]) == 0
    line = json.loads(capsys.readouterr().out)
    check("cli", line)
    assert list(line) == list(load("cli")["properties"])


def test_a_pixel_fits_and_tells_its_numbers(result):
    facts = json.loads(json.dumps(pixel_record(result, 20, 90)))
    check("probabilities", {**facts, "notes": []})
    pixel = result.pixel(20, 90)
    assert (facts["y"], facts["x"]) == (20, 90)
    assert facts["winner"]["name"] == "cat"
    assert facts["winner"] == facts["probabilities"][tiny.CAT]
    assert [one["probability"] for one in facts["probabilities"]] == pixel.probabilities.tolist()
    assert (facts["margin"], facts["entropy"]) == (pixel.margin, pixel.entropy)


def test_the_guide_names_every_schema_and_every_field():
    guide = (FOLDER.parent / "api.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"schema/{name}.schema.json" in guide
        for field in load(name)["properties"]:
            assert re.search(rf"`{field}\b", guide), (name, field)
