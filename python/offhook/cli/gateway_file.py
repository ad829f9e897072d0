"""What a command reads of the gateway's file, without the gateway's secrets and while the file is being edited."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import typer

from offhook.config.load import default_file
from offhook.errors import OffhookError

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The gateway's TOML file, which says where its data are.")
]


@dataclass(frozen=True, slots=True)
class GatewayFile:
    """The tables of the file as they are written, none of them checked; `base` is where its paths are seen from."""

    path: Path | None
    base: Path
    tables: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(
        cls, path: Path | None, environ: Mapping[str, str] = os.environ, directory: Path = Path(), *, hint: str = ""
    ) -> Self:
        """Read that file, else the one that `offhook run` would take here; where there is none, nothing is set.

        Raises `OffhookError` (`config_unreadable`) with `hint`.
        """
        path = path or default_file(environ, directory)
        if path is None:
            return cls(None, directory.absolute(), {})
        try:
            tables = tomllib.loads(path.read_text("utf-8-sig"))
        except OSError as error:
            raise OffhookError(
                f"{path}: can't be read: {error.strerror}", hint=hint, code="config_unreadable"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise OffhookError(f"{path}: is not TOML: {error}", hint=hint, code="config_unreadable") from error
        return cls(path, path.absolute().parent, tables)

    def text(self, table: str, name: str) -> str | None:
        """A setting that is a text; None where it is not set, empty or something else."""
        section = self.tables.get(table)
        value = section.get(name) if isinstance(section, dict) else None
        return value if isinstance(value, str) and value else None

    @property
    def data_dir(self) -> Path:
        """`node.data_dir`."""
        return self.base / (self.text("node", "data_dir") or "./data")

    @property
    def store_url(self) -> str:
        """Where the gateway keeps its records."""
        url, prefix = self.text("store", "url"), "sqlite:///"
        if url is None:
            return f"{prefix}{self.data_dir / 'offhook.db'}"
        return f"{prefix}{self.base / url.removeprefix(prefix)}" if url.startswith(prefix) else url
