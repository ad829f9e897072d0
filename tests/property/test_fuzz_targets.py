"""The fuzz targets themselves: each runs, and every kept finding stays fixed."""

import random
from pathlib import Path

import pytest
from fuzz import python_targets

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", sorted(python_targets.TARGETS))
def test_a_short_run_finds_nothing(name: str) -> None:
    done, findings = python_targets.fuzz(name, random.Random(f"short {name}"), runs=150)
    assert findings == []
    assert done == 150


def test_every_corpus_folder_has_a_target() -> None:
    corpus = Path(python_targets.ROOT) / "fuzz" / "corpus"
    assert {path.name for path in corpus.iterdir()} <= set(python_targets.TARGETS)
