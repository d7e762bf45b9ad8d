"""Changes to the parts of an exported program, as an attacker would make them."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parts(path: Path) -> dict[str, bytes]:
    """Return every part of an archive by its name, without the archive's own folder."""
    with zipfile.ZipFile(path) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def write(path: Path, content: dict[str, bytes]) -> Path:
    """Write an archive with these parts; return its path."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(f"{path.stem}/{name}", data)
    return path


def change_graph(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write a copy of a program with its graph (JSON values) changed."""
    content = parts(source)
    graph = json.loads(content["models/model.json"])
    change(graph)
    content["models/model.json"] = json.dumps(graph).encode()
    return write(target, content)


def change_part(source: Path, target: Path, name: str, data: bytes | None) -> Path:
    """Write a copy of a program with one part replaced, added or (None) removed."""
    content = parts(source)
    content.pop(name, None)
    return write(target, content if data is None else {**content, name: data})
