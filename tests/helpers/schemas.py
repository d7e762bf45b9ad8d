"""The published JSON Schemas, as validators."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schema"
NAMES = ("cli", "compare", "probabilities", "segment", "several")


def load(name: str) -> dict[str, Any]:
    """A schema by its name."""
    return json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))


def check(name: str, value: Any) -> None:
    """Fail where a value breaks the schema, or has a field that the schema does not describe."""
    schema = closed(load(name))
    errors = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(value)
    ]
    assert not errors, errors


def closed(schema: Any) -> Any:
    """The same schema for this very version: programs must bear new fields, our tests must not."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {key: closed(part) for key, part in schema.items()}
    return {**shut, "additionalProperties": False} if "properties" in shut else shut
