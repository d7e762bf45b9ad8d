"""The published JSON Schemas, as validators."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schema"
NAMES = ("cli", "compare", "probabilities", "segment", "several")


def load(name: str) -> dict[str, Any]:
    """Load a schema by its name."""
    return json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))


def check(name: str, value: Any) -> None:
    """Fail if a value violates the schema, or has a field that the schema does not describe."""
    schema = closed(load(name))
    errors = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(value)
    ]
    assert not errors, errors


def closed(schema: Any) -> Any:
    """Return the schema with unknown fields forbidden, which only tests may do."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: closed(part) for key, part in schema.items()}
    return {**strict, "additionalProperties": False} if "properties" in strict else strict
