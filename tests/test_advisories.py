"""No release with a published hole is installed, but for those that SECURITY.md admits."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from helpers.server import ROOT

ADVISORIES: list[dict[str, Any]] = tomllib.loads(
    (ROOT / "docs" / "advisories.toml").read_text(encoding="utf-8")
)["advisory"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OPEN = [one for one in ADVISORIES if "open" in one]


def affects(advisory: dict[str, Any], release: str) -> bool:
    """Whether a release has the hole, in the terms of OSV records."""
    found = Version(release)
    if found < Version(advisory["introduced"]):
        return False
    if "fixed" in advisory:
        return found < Version(advisory["fixed"])
    return found <= Version(advisory["last_affected"])


def admits(specifier: SpecifierSet, advisory: dict[str, Any]) -> bool:
    """Whether any release, published or not, is both in the range and affected."""
    low, high = Version("0"), None
    for one in specifier:
        if one.operator == ">=":
            low = max(low, Version(one.version))
        elif one.operator == "<":
            high = min(high or Version(one.version), Version(one.version))
        else:
            raise AssertionError(f"{one}: this test reads >= and < only")
    if high is not None and high <= Version(advisory["introduced"]):
        return False
    if "fixed" in advisory:
        return low < Version(advisory["fixed"])
    return low <= Version(advisory["last_affected"])


def asked() -> list[tuple[str, Requirement]]:
    """Every requirement of the project, with the file that has it."""
    found = [
        (path.name, Requirement(line))
        for path in sorted(ROOT.glob("requirements*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "-r"))
    ]
    for lines in PROJECT["project"]["optional-dependencies"].values():
        found += [("pyproject.toml", Requirement(line)) for line in lines]
    return found + [("pyproject.toml", Requirement(x)) for x in PROJECT["build-system"]["requires"]]


def pins() -> dict[str, tuple[Requirement, int]]:
    """Each line of constraints.txt with the number of its hashes, by package and marker."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = {}
    for line in lines:
        requirement = Requirement(line.split("--hash")[0])
        hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}(?= |$)", line)
        found[str(requirement)] = (requirement, len(hashes))
    return found


def test_the_list_is_well_formed():
    ids = [name for one in ADVISORIES for name in (one["id"], *one.get("also", []))]
    assert len(ids) == len(set(ids))
    for one in ADVISORIES:
        assert one["package"] == canonicalize_name(one["package"])
        assert one["what"]
        assert ("fixed" in one) != ("last_affected" in one), one["id"]
        end = one.get("fixed") or one["last_affected"]
        assert Version(one["introduced"]) < Version(end)
    assert {"pillow", "gradio", "torch", "pillow-heif"} <= {one["package"] for one in ADVISORIES}


@pytest.mark.parametrize(
    ("asked_for", "hole", "in_it"),
    [
        ("pillow>=12,<13", "CVE-2026-59204", True),  # the range until November 2026
        ("pillow>=12.3,<13", "CVE-2026-59204", False),
        ("pillow>=12.3", "CVE-2026-59204", False),
        ("pillow<8.2", "CVE-2026-59204", False),  # before it was introduced
        ("pillow", "CVE-2026-59204", True),
        ("pillow>=12.3,<13", "CVE-2026-112403", True),
        ("pillow>=13", "CVE-2026-112403", False),
        ("torch>=2.10", "CVE-2026-4538", True),  # the last affected release counts
        ("torch>=2.10.1", "CVE-2026-4538", False),
    ],
)
def test_a_range_is_judged_by_every_release_in_it(asked_for, hole, in_it):
    (advisory,) = (one for one in ADVISORIES if one["id"] == hole)
    assert admits(Requirement(asked_for).specifier, advisory) is in_it


@pytest.mark.parametrize(("file", "requirement"), asked(), ids=lambda value: str(value))
def test_no_range_admits_a_release_with_a_known_hole(file, requirement):
    name = canonicalize_name(requirement.name)
    known = [one for one in ADVISORIES if one["package"] == name and "open" not in one]
    assert [one["id"] for one in known if admits(requirement.specifier, one)] == [], file


def test_make_and_the_package_obey_the_bounds():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = [Requirement(line).name for line in lines]
    assert named == ["gradio", "torch", "torchvision", "pillow", "numpy"]
    both = ["requirements.txt", "requirements-bounds.txt"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["dependencies"]["file"] == both
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    run = makefile.split("$(VENV)/run.stamp:")[1].split("\n\n")[0]
    assert (
        "install --quiet --disable-pip-version-check -r requirements.txt -r requirements-bounds.txt"
        in run
    )
    dev = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    assert dev[:2] == [f"-r {file}" for file in both]


def test_the_packages_with_known_holes_are_asked_for_by_range():
    """A package that only Gradio or torch brings could stay at an old release."""
    names = {canonicalize_name(requirement.name) for _, requirement in asked()}
    assert {one["package"] for one in ADVISORIES} <= names


@pytest.mark.parametrize("hole", OPEN, ids=lambda one: one["id"])
def test_an_open_hole_is_admitted_and_still_cannot_be_closed(hole):
    assert hole["id"] in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    if "kept_by" in hole:
        tests = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
        assert any(f"def {hole['kept_by']}(" in text for text in tests)
    if "blocked_by" in hole:
        of_blocker = map(Requirement, requires(hole["blocked_by"]))
        (limit,) = (one for one in of_blocker if one.name == hole["package"])
        assert hole["fixed"] not in limit.specifier, f"raise {hole['package']}: nothing forbids it"


@pytest.mark.parametrize("hole", [one for one in OPEN if one["package"] == "pillow"])
def test_the_safe_pillow_has_none_of_the_open_holes(hole):
    (line,) = (ROOT / "requirements-pillow.txt").read_text(encoding="utf-8").splitlines()
    assert not admits(Requirement(line).specifier, hole)


def test_constraints_pin_every_package_with_hashes_and_without_known_holes():
    names = {canonicalize_name(requirement.name) for requirement, _ in pins().values()}
    for file, requirement in asked():
        if file in ("requirements.txt", "requirements-bounds.txt"):
            assert canonicalize_name(requirement.name) in names
    for requirement, hashes in pins().values():
        (exact,) = requirement.specifier
        assert exact.operator == "=="
        assert hashes > 0, requirement
        name = canonicalize_name(requirement.name)
        for one in ADVISORIES:
            if one["package"] == name and not (one["package"] == "gradio" and "open" in one):
                assert not affects(one, exact.version), (one["id"], exact.version)
        for _, ours in asked():
            if canonicalize_name(ours.name) == name:
                assert ours.specifier.contains(exact.version), (ours, exact.version)


def test_what_is_installed_has_no_known_hole_but_the_open_ones():
    for one in ADVISORIES:
        try:
            found = version(one["package"])
        except PackageNotFoundError:
            continue
        assert "open" in one or not affects(one, found), (one["id"], found)
