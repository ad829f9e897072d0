"""Golden cases: a file in, what the gateway understood or every problem of it out.

`cases/NAME.toml` is read and compared with `cases/NAME.expected`. After a change on purpose:
`OFFHOOK_WRITE_CASES=1 pytest tests/unit/config/test_cases.py`, and read the difference.
"""

import json
import os
from pathlib import Path

import pytest

from offhook.config.load import examine_text
from offhook.config.normal import normalised

pytestmark = pytest.mark.unit

CASES = sorted((Path(__file__).parent / "cases").glob("*.toml"))
ENVIRON = {"ACME_IN": "do-not-print", "BOT_TOKEN": "do-not-print", "EMPTY": "", "LINE_END": "do-not-print\n"}


def outcome(case: Path) -> str:
    found = examine_text(case.read_text(), ENVIRON, file=case.name, base=Path("/srv/offhook"), host_name="gateway")
    lines = [str(problem) for problem in found.errors]
    lines += [f"{problem} [warning]" for problem in found.warnings]
    if found.config is not None:
        lines.append(json.dumps(normalised(found.config), indent=1, ensure_ascii=False))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path) -> None:
    expected = case.with_suffix(".expected")
    if os.environ.get("OFFHOOK_WRITE_CASES"):
        expected.write_text(outcome(case))
    assert outcome(case) == expected.read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_no_case_prints_a_secret(case: Path) -> None:
    assert "do-not-print" not in outcome(case)
