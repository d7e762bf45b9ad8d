"""Exported programs changed by hand, as somebody of bad faith would change them."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parts(path: Path) -> dict[str, bytes]:
    """Every part of an archive by its name without the archive's own folder."""
    with zipfile.ZipFile(path) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def write(path: Path, content: dict[str, bytes]) -> Path:
    """An archive with these parts."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(f"{path.stem}/{name}", data)
    return path


def change_graph(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a program whose graph (as JSON values) was changed."""
    content = parts(source)
    graph = json.loads(content["models/model.json"])
    change(graph)
    content["models/model.json"] = json.dumps(graph).encode()
    return write(target, content)


def change_part(source: Path, target: Path, name: str, data: bytes | None) -> Path:
    """A copy of a program with one part replaced, added, or (None) left out."""
    content = parts(source)
    content.pop(name, None)
    return write(target, content if data is None else {**content, name: data})
