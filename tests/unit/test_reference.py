"""The generated pages are current, and the page of the RFCs says no more than the tests do."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tools_reference", ROOT / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_page_is_current(reference: ModuleType) -> None:
    assert reference.stale() == [], "run: make docs"


def test_every_page_of_the_reference_that_says_so_is_made_here(reference: ModuleType) -> None:
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        if "make docs" in page.read_text(encoding="utf-8"):
            assert f"docs/reference/{page.name}" in reference.PAGES


def test_marks_are_found_on_tests_and_on_modules(reference: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        'pytestmark = [pytest.mark.unit, pytest.mark.rfc(1, "2")]\n'
        "def test_a(): ...\n"
        '@pytest.mark.rfc(3261, "17.1.1")\n'
        "async def test_b(): ...\n"
        "def helper(): ...\n"
    )
    found = reference.rfc_support.marks(tmp_path)
    assert sorted((mark.rfc, mark.section, mark.test) for mark in found) == [
        (1, "2", "test_a"),
        (1, "2", "test_b"),
        (3261, "17.1.1", "test_b"),
    ]


def test_what_stands_in_rust_stands_there(reference: ModuleType) -> None:
    for rfc in reference.rfc_support.RFCS:
        for name in filter(None, rfc.rust.split(", ")):
            assert (ROOT / "rust" / "media" / "src" / name).exists(), name


def test_a_section_that_has_no_name_is_told(reference: ModuleType) -> None:
    pages = reference.rfc_support
    found = {pages.Mark(3261, section, "test_one.py", "test_a") for section in ("14.1", "14.1.7", "99")}
    assert pages.nameless(found | {pages.Mark(1, "1", "test_one.py", "test_a")}) == [
        "RFC 1 section 1",
        "RFC 3261 section 99",
    ]


def test_what_is_left_out_as_a_whole_has_no_test_that_says_otherwise(reference: ModuleType) -> None:
    """Whoever builds one of these takes its line out of tools/rfcs.py."""
    tested = {mark.rfc for mark in reference.rfc_support.marks(ROOT / "tests")}
    said = {rfc.number for rfc in reference.rfc_support.RFCS if any(not gap.section for gap in rfc.gaps)}
    assert tested & said == set()
