"""The items of `make prove`: every test is in one of them, and what has passed is not run again."""

import argparse
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from tests import prove_items as table  # noqa: E402
from tests.prove import Outcome, read_options, still_to_do  # noqa: E402
from tests.support.played import note, summary  # noqa: E402

pytestmark = pytest.mark.unit

PYTHON_ITEMS = (
    "python-pure", "python-measuring", "python-interop", "targets", "calls-virtual", "calls-real", "answered-by",
    "bridges"
)  # fmt: skip


def listed(*arguments: str) -> tuple[argparse.Namespace, dict[str, table.Item]]:
    options = read_options(list(arguments))
    found = table.items(options)
    assert len({item.name for item in found}) == len(found)
    return options, {item.name: item for item in found}


def collected(command: list[str]) -> set[Path]:
    """The test modules that a command of pytest takes, by its paths and what it leaves out."""
    words = command[command.index("pytest") + 1 :]
    left_out = [ROOT / word.partition("=")[2] for word in words if word.startswith("--ignore=")]
    paths = [ROOT / word for word in words if word.startswith("tests")]
    modules = {module for path in paths for module in ([path] if path.is_file() else path.rglob("test_*.py"))}
    return {module for module in modules if not any(module.is_relative_to(path) for path in left_out)}


def test_every_module_of_tests_is_in_just_one_item() -> None:
    _, items = listed()
    taken = [module for name in PYTHON_ITEMS for module in collected(items[name].command)]
    assert sorted(taken) == sorted((ROOT / "tests").rglob("test_*.py"))
    assert all(items[name].environment["OFFHOOK_PROVE"] == "1" for name in PYTHON_ITEMS)


def test_what_measures_is_the_same_in_make_test() -> None:
    lines = dict(re.findall(r"^(MEASURING|STREAMS) := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert tuple(lines["MEASURING"].split()) == table.MEASURING
    assert tuple(lines["STREAMS"].split()) == table.STREAMS
    _, items = listed()
    names = list(items)
    assert names.index("python-measuring") < min(names.index(name) for name in names if items[name].beside)


def test_the_items_come_of_what_is_asked_for() -> None:
    _, items = listed("--soak-minutes", "600", "--seed", "4711")
    assert items["soak"].minutes > 600
    assert items["calls-virtual"].environment["OFFHOOK_SEED"] == "4711"
    with pytest.raises(SystemExit):
        read_options(["--only", "python-purr"])


def outcome(result: str) -> Outcome:
    return Outcome("what", result, "1 passed", 1.0, "2026-01-01T00:00:00+00:00")


def test_resume_runs_what_has_not_passed_and_what_is_new_in_the_table() -> None:
    options, items = listed("--resume", "--only", "python-pure,python-interop,calls-real,soak", "--skip", "soak")
    kept = {"python": outcome("passed"), "python-pure": outcome("passed"), "python-interop": outcome("failed")}
    todo = still_to_do(list(items.values()), options, kept)
    assert [item.name for item in todo] == ["python-interop", "calls-real"]


def test_without_resume_all_is_run_again() -> None:
    options, items = listed("--only", "rust")
    assert [item.name for item in still_to_do(list(items.values()), options, {"rust": outcome("passed")})] == ["rust"]


def test_played_calls_are_counted_over_all_parts() -> None:
    told: list[tuple[str, object]] = []
    for kinds in (["hold", "hold", "plain"], ["plain"]):
        note(lambda name, value: told.append((name, value)), "in virtual time", kinds, ["lost"], "nothing")
    (line,) = summary([*told, ("other", 1)])
    assert line == "calls played: 4 in virtual time, 2 kinds, 2 mishaps of 1 sorts; left: nothing"
    said = f"{line}\n12 passed in 3.00s\n"
    assert table.calls_count(said) == line.removeprefix("calls played: ")
    assert table.calls_count(said.replace("12 passed", "1 failed, 11 passed")).endswith("1 failed, 11 passed")
    assert table.calls_count("1 failed in 2.00s") == "1 failed"
