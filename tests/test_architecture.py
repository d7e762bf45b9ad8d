"""The rules of the house: imports go down only, folders and files stay small, rooms keep apart."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = """
segmentation.console segmentation.argument_types segmentation.categories
segmentation.errors
segmentation.partial_file segmentation.progress segmentation.devices
segmentation.palette
segmentation.overlay
segmentation.images.value_range segmentation.images.file_types segmentation.images.hdr_color
segmentation.images.formats
segmentation.images.hdr_metadata segmentation.images.color segmentation.images.source
segmentation.images.decoding
segmentation.images
segmentation.networks
segmentation.models.card segmentation.models.card_figures segmentation.models.knowledge
segmentation.models.checkpoints
segmentation.models.exported
segmentation.models
segmentation.inference
segmentation.explain
segmentation.export segmentation.video
segmentation.batch
segmentation.cli
segmentation.__main__
viewer
page.gradio_internals page.options page.theme
page.storage
page.requests
page.service.bounded_cache page.service.error_log page.service.errors
page.service.background
page.service.queue
page.service.models
page.service.result_cache
page.texts page.live_texts page.photo_texts
page.service
page.handlers
page.components
page.classroom
page.tabs page.api
page.demo
page.http
page.main
page.__main__
app
deploy
training
benchmarks
docs
"""
"""Each line may import from the lines above it and from its own."""
RANKS = {name: rank for rank, line in enumerate(LAYERS.split("\n")) for name in line.split()}
MOST_MODULES, MOST_TESTS = 12, 20
MOST_LINES, MOST_TEST_LINES, MOST_FUNCTION_LINES = 300, 400, 60
LONG: dict[str, int] = {}
"""Test files that are still to be split; nothing may join them."""
PACKAGES = ("segmentation", "viewer", "page", "deploy", "training", "benchmarks", "docs")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def sources() -> dict[str, Path]:
    files = [ROOT / "app.py", *(file for name in PACKAGES for file in (ROOT / name).rglob("*.py"))]
    return {module_name(file): file for file in files}


def rank(module: str) -> int | None:
    while module not in RANKS:
        module, dot, _ = module.rpartition(".")
        if not dot:
            return None
    return RANKS[module]


def libraries(module: str) -> set[str]:
    """The top-level names that a module imports, outside `if TYPE_CHECKING`."""
    tree = ast.parse(sources()[module].read_text(encoding="utf-8"))
    typing = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    return found


def imports(module: str) -> set[str]:
    """The modules of this project that a module imports, function-local imports included."""
    found = set()
    for node in ast.walk(ast.parse(sources()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import hides where it leads"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in sources() else str(node.module) for name in whole}
    return {name for name in found if name.split(".")[0] in {*PACKAGES, "app"}}


def test_every_module_has_its_layer():
    assert [module for module in sources() if rank(module) is None and module not in PACKAGES] == []


def test_every_layer_has_a_module():
    known = {".".join(name.split(".")[:n]) for name in sources() for n in range(1, 9)}
    assert [name for name in RANKS if name not in known] == []


def test_imports_only_go_down():
    climbing = [
        f"{module} imports {imported}"
        for module in sources()
        if module not in PACKAGES  # their __init__ names what is public, wherever it lies
        for imported in sorted(imports(module))
        if imported not in PACKAGES and rank(imported) > rank(module)
    ]
    assert climbing == []


def test_nothing_imports_its_package_in_a_circle():
    """`from segmentation import x` is for users of the package, not for its own modules."""
    own = [m for m in sources() if m.split(".")[0] in imports(m) and m not in PACKAGES]
    assert [m for m in own if m.startswith(("segmentation.", "viewer."))] == []


def test_segmentation_knows_no_page_and_training_is_used_by_nobody():
    for module in sources():
        tops = {name.split(".")[0] for name in imports(module)}
        if module.split(".")[0] == "segmentation":
            assert tops <= {"segmentation"}, module
        if module.split(".")[0] in ("viewer", "page", "deploy"):
            assert not tops & {"training", "benchmarks", "docs"}, module


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        (
            "gradio",
            "app viewer page.gradio_internals page.components page.tabs page.classroom.session "
            "page.http page.theme page.api page.demo page.main deploy benchmarks",
        ),
        (
            "torch",
            "segmentation page.classroom page.service.models deploy training benchmarks docs",
        ),
    ],
)
def test_libraries_stay_in_their_rooms(library, rooms):
    def inside(module: str) -> bool:
        return any(module == room or module.startswith(f"{room}.") for room in rooms.split())

    assert [m for m in sources() if library in libraries(m) and not inside(m)] == []


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_folders_modules_and_functions_stay_small(folder):
    for place in [ROOT / folder, *(ROOT / folder).rglob("*")]:
        if not place.is_dir():
            continue
        modules = [file for file in place.glob("*.py") if file.name != "__init__.py"]
        scripts = list(place.glob("*.js"))
        most = MOST_TESTS if folder == "tests" else MOST_MODULES
        assert max(len(modules), len(scripts)) <= most, place
        for file in modules:
            text = file.read_text(encoding="utf-8")
            limit = MOST_TEST_LINES if folder == "tests" else MOST_LINES
            limit = LONG.get(file.relative_to(ROOT).as_posix(), limit)
            assert len(text.splitlines()) <= limit, file
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = node.end_lineno - node.lineno + 1
                    assert length <= MOST_FUNCTION_LINES, f"{file}: {node.name}"
