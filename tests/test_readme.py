"""The documents: the first program runs, paths and links lead somewhere, the words are plain."""

import contextlib
import io
import re
import subprocess
from pathlib import Path

import pytest

from page.options import PUBLIC_LIMITS, Options

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name / "README.md" for name in ("deploy", "training", "benchmarks")),
]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_WORDS = 20
EACH = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))

FOLDERS = r"segmentation|viewer|page|deploy|training|benchmarks|docs|examples|tests|\.ci"
PATH = re.compile(rf"(?:`|python |node |sh |pytest )((?:{FOLDERS})/[\w./-]+)")
LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")

# Private words for things that have a name (queue, slot, password, shown, again, ...).
PRIVATE = re.compile(
    r"""\b(?: told | anew | stand-ins? | nobody's | reckons? | tidied | doors? | by\ need
    | (?:in|the|its|same|whole|one)\ line(?!\ (?:of|with|in)\b) | place\ in\ line
    | (?:its|their|whose)\ turn | takes?\ turns | on\ this\ side | at\ work
    | (?:and\ the|this|the)\ word(?=[,).]) | for\ want\ of
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
# "Who waits is shown ..." is a question's word order; so is "What breaks is ...".
INVERTED = re.compile(r"(?:^|[.!;] )(?:Who|Whoever|What) [^.?!]*[.]")


def prose(text: str) -> list[str]:
    """The sentences of a Markdown page: no code, no addresses, no quotations; a cell is its own."""
    text = re.sub(r"\A---\n.*?\n---\n|```.*?```|<!--.*?-->", "", text, flags=re.DOTALL)
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*>]|\d+\.) )|\n(?=[#|])", text)
    cells = [cell for block in blocks for cell in re.split(r"(?<!\\)\||\s·\s", block)]
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(cell.split())) for cell in cells]
    plain = [re.sub(r"`[^`]*`(?:, `[^`]*`)*", "CODE", cell) for cell in plain]
    plain = [re.sub(r'"[^"]*"', "QUOTE", cell) for cell in plain]
    return [one for cell in plain for one in re.split(r"(?<=[.!?;:])\**\s+", cell) if one]


def anchors(text: str) -> set[str]:
    """The names by which GitHub links to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_first_program_prints_what_is_written_below_it(monkeypatch):
    program, printed = re.search(
        r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", README, re.DOTALL
    ).groups()
    monkeypatch.chdir(ROOT)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(program, "README.md", "exec"), {})
    share = r"\d+(?=%)"
    assert re.sub(share, "N", said.getvalue()) == re.sub(share, "N", printed)
    here, there = (list(map(int, re.findall(share, text))) for text in (said.getvalue(), printed))
    assert here == pytest.approx(there, abs=1)  # CPUs round differently


@EACH
def test_every_path_named_exists(path):
    named = set(PATH.findall(path.read_text(encoding="utf-8")))
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]


@EACH
def test_every_link_leads_to_a_file_and_a_heading(path):
    text = path.read_text(encoding="utf-8")
    for file, anchor in LINK.findall(text):
        target = path.parent / file if file else path
        assert target.exists(), file
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{file}#{anchor}"


def test_the_readme_leads_to_every_page():
    linked = {(ROOT / file).resolve() for file, _ in LINK.findall(README) if file}
    assert [path for path in DOCUMENTS if path not in linked and path.name != "README.md"] == []


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md"])
def test_sentences_are_short(name):
    sentences = prose((ROOT / name).read_text(encoding="utf-8"))
    counted = [(len(re.findall(r"\w[^\s]*", sentence)), sentence) for sentence in sentences]
    long = [sentence for words, sentence in counted if words > MAX_WORDS]
    assert [sentence for sentence in long if not re.match("(CVE|GHSA)-", sentence)] == []  # lists
    assert len(sentences) > 100


@EACH
def test_documents_use_the_words_of_the_field(path):
    sentences = prose(path.read_text(encoding="utf-8"))
    assert [one for one in sentences if PRIVATE.search(one) or INVERTED.search(one)] == []
    if path.parent.name != "benchmarks":  # a photo, an image or a label map: see the glossary
        assert [one for one in sentences if re.search(r"\bpictures?\b(?!\.md)", one, re.I)] == []


def test_the_word_list_finds_what_it_is_for():
    bad = (
        "Each waits its turn in the same line.",
        "Who waits is told the place.",
        "It starts anew.",
        "Photos at work get up to 10 s.",
        "They need the word, too.",
    )
    assert all(PRIVATE.search(one) or INVERTED.search(one) for one in bad)
    good = ("What breaks first?", "Photos share one queue.", "In the line of code above.")
    assert not any(PRIVATE.search(one) or INVERTED.search(one) for one in good)


def test_every_package_that_is_installed_has_its_reason():
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    table = page.partition("## Why each package is needed")[2]
    files = [ROOT / "requirements.txt", *ROOT.glob("requirements-bounds.txt")]
    text = "\n".join(file.read_text() for file in files)
    required = re.findall(r"^[\w-]+", text, re.MULTILINE)
    assert "torch" in required
    assert set(required) <= set(re.findall(r"`([\w-]+)`", table))


def test_the_table_of_limits_has_the_defaults_of_the_page():
    page = (ROOT / "docs" / "share.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `--([\w-]+)[^`]*` \| ([\d.]+) \| ([\d.]*) ?\|", page, re.MULTILINE)
    default = Options()
    for name, value, tight in rows:
        field = name.replace("-", "_")
        assert float(value) == getattr(default, field), name
        assert (float(tight) if tight else None) == PUBLIC_LIMITS.get(field), name
    assert len(rows) == 8


def test_the_tree_of_the_readme_names_what_is_tracked():
    tree = re.search(r"```text\n(app\.py .*?)```", README, re.DOTALL)[1]
    tops = {word.rstrip("/") for word in re.findall(r"^(\S+/?(?: \S+/)*)", tree, re.MULTILINE)}
    names = {name.rstrip("/") for top in tops for name in top.split()}
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a checkout")
    folders = {line.split("/")[0] for line in listing.stdout.splitlines() if "/" in line}
    assert {name for name in folders if not name.startswith(".")} == names - {"app.py"}
