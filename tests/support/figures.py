"""Figures that tests measure, kept for a page (`tests/figures_page.py`): JSON lines in the file `OFFHOOK_FIGURES`."""

import json
import os
from pathlib import Path


class Figures:
    """Where a test notes what it measured. Without the variable nothing is kept."""

    def __init__(self) -> None:
        name = os.environ.get("OFFHOOK_FIGURES")
        self._file = Path(name) if name else None

    def note(self, table: str, **row: object) -> None:
        """Keep a row of a table: its columns by name, in this order."""
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps({"table": table, "row": row}) + "\n")
