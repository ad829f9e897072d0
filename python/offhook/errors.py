"""The exception tree: what may go wrong, in one place.

A peer's refusal is no exception (see `offhook.call`), a peer's garbage is `RemoteProtocolError`, our own mistake is
`LocalProtocolError`. Each error carries a stable `code` for programs and a `hint` for people.
"""

from collections.abc import Sequence


class OffhookError(Exception):
    """Any error that offhook raises on purpose.

    `code` is a stable slug, `hint` says what to do next (it may be empty).
    """

    code: str = "error"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if code is not None:
            self.code = code


class ConfigError(OffhookError):
    """One or more settings are wrong; all of them are named at once, before anything starts.

    `problems` holds every finding of the file; `path` and `line` are those of the first.
    """

    code = "config_invalid"

    def __init__(self, problems: Sequence["ConfigProblem"]) -> None:
        assert problems, "a ConfigError names at least one problem"
        super().__init__("\n".join(str(problem) for problem in problems), hint=problems[0].hint)
        self.problems = tuple(problems)
        self.path = problems[0].path
        self.line = problems[0].line


class ConfigProblem:
    """One wrong setting: where (`file`, `line`, `path` such as `trunk.acme.codecs`), what, and what to do.

    `path` is empty if the file as a whole is meant, `line` is None where there is none.
    """

    __slots__ = ("file", "hint", "line", "message", "path")

    def __init__(self, path: str, message: str, *, hint: str = "", line: int | None = None, file: str = "") -> None:
        self.path = path
        self.message = message
        self.hint = hint
        self.line = line
        self.file = file

    def __str__(self) -> str:
        where = f"{self.file or 'configuration'}{f':{self.line}' if self.line else ''}"
        hint = f" ({self.hint})" if self.hint else ""
        path = f"{self.path}: " if self.path else ""
        return f"{where}: {path}{self.message}{hint}"


class LocalProtocolError(OffhookError):
    """We asked for something that the RFC forbids: a bug at the call site, never caused by the wire."""

    code = "local_protocol_error"


class RemoteProtocolError(OffhookError):
    """The peer broke the protocol.

    `status_hint` is the SIP status that answers it where an answer is possible; `offset` points into the bytes.
    """

    code = "remote_protocol_error"

    def __init__(self, message: str, *, status_hint: int = 400, offset: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status_hint = status_hint
        self.offset = offset


class TransportError(OffhookError):
    """Bytes could not be delivered or a listener could not be opened. `address` is the peer's or our own."""

    code = "transport_error"

    def __init__(self, message: str, *, address: str = "", retryable: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.address = address
        self.retryable = retryable


class DestinationError(OffhookError):
    """The agent could not be reached, refused or broke off. `code` is the slug of the end reason.

    `retryable` says whether a fallback may be tried; `sip_status` is the answer that the agent itself asked for.
    """

    code = "destination_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retryable: bool = True,
        sip_status: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retryable = retryable
        self.sip_status = sip_status
