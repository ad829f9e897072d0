"""Which line of a TOML file says what. `tomllib` reads the values; this finds where they stand."""

from collections.abc import Iterator

Path = tuple[str | int, ...]


def locate(text: str) -> dict[Path, int]:
    """Map each key, table and list item of a valid TOML text to its line, counted from 1.

    The text must already have been read by `tomllib`, so nothing is verified here.
    """
    return _Scanner(text).scan()


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of `path`, or of the nearest thing around it that has one."""
    while path:
        if (line := lines.get(path)) is not None:
            return line
        path = path[:-1]
    return None


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip_blank():
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _step(self, count: int = 1) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _skip_blank(self) -> bool:
        """Pass white space, line ends and comments; false at the end of the text."""
        while char := self._peek():
            if char == "#":
                end = self._text.find("\n", self._at)
                self._step((len(self._text) if end < 0 else end) - self._at)
            elif char in " \t\r\n":
                self._step()
            else:
                return True
        return False

    def _header(self) -> Path:
        line = self._line
        double = self._text.startswith("[[", self._at)
        self._step(2 if double else 1)
        path = self._resolve(tuple(self._keys("]")), last=not double)
        self._step(2 if double else 1)
        for length in range(1, len(path)):
            self._lines.setdefault(path[:length], line)
        if double:
            index = self._counts.get(path, 0)
            self._counts[path] = index + 1
            self._lines.setdefault(path, line)
            path = (*path, index)
        self._lines.setdefault(path, line)
        return path

    def _resolve(self, keys: Path, *, last: bool) -> Path:
        """Put the index of the newest item behind each key that names an array of tables."""
        path: Path = ()
        for position, key in enumerate(keys):
            path = (*path, key)
            if path in self._counts and (last or position < len(keys) - 1):
                path = (*path, self._counts[path] - 1)
        return path

    def _keys(self, end: str) -> Iterator[str]:
        while True:
            self._skip_blank()
            char = self._peek()
            if char in "\"'":
                yield self._string()
            else:
                start = self._at
                while self._peek() not in (".", end, " ", "\t", ""):
                    self._step()
                yield self._text[start : self._at]
            self._skip_blank()
            if self._peek() != ".":
                return
            self._step()

    def _pair(self, table: Path) -> None:
        line = self._line
        path = table
        for key in self._keys("="):
            path = (*path, key)
            self._lines.setdefault(path, line)
        self._step()  # "="
        self._skip_blank()
        self._value(path)

    def _value(self, path: Path) -> None:
        char = self._peek()
        if char in "\"'":
            self._string()
        elif char == "[":
            self._step()
            index = 0
            while self._skip_blank() and self._peek() != "]":
                self._lines[(*path, index)] = self._line
                self._value((*path, index))
                index += 1
                self._skip_comma()
            self._step()
        elif char == "{":
            self._step()
            while self._skip_blank() and self._peek() != "}":
                self._pair(path)
                self._skip_comma()
            self._step()
        else:
            while self._peek() not in (",", "]", "}", "\n", "#", ""):
                self._step()

    def _skip_comma(self) -> None:
        self._skip_blank()
        if self._peek() == ",":
            self._step()

    def _string(self) -> str:
        """Pass a string of any of the four kinds; what it says, as far as keys need it (simple escapes only)."""
        quote = self._peek()
        closing = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        self._step(len(closing))
        start = self._at
        while not self._text.startswith(closing, self._at):
            self._step(2 if quote == '"' and self._peek() == "\\" else 1)
        # Up to two quotes may stand right before the closing three.
        while len(closing) == 3 and self._text.startswith(closing, self._at + 1):
            self._step()
        said = self._text[start : self._at]
        self._step(len(closing))
        return said.replace('\\"', '"').replace("\\\\", "\\") if quote == '"' else said
