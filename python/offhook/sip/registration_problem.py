"""Why a registrar did not take us, in words, with what to change."""

from dataclasses import dataclass

from offhook.sip.grammar import excerpt
from offhook.sip.message import Response


@dataclass(frozen=True, slots=True)
class Problem:
    """What stood against a registration: `code` is a slug, `text` says what came, `hint` what to change.

    `is_lasting` if it stands until somebody changes a setting, here or there. `retry_after` is what the registrar said.
    """

    code: str
    text: str
    hint: str
    is_lasting: bool = False
    retry_after: int | None = None

    @classmethod
    def nothing_granted(cls) -> "Problem":
        """A 2xx that leaves no binding."""
        return cls(
            "nothing_granted",
            "the registrar took the REGISTER and keeps no contact of ours",
            "look at the account there: it may be limited to other addresses, or to fewer of them",
        )


_HINTS: dict[int, tuple[str, str, bool]] = {
    401: ("wrong_password", "compare `username` and `password` of the [[trunk]] with the account there", True),
    407: ("wrong_password", "compare `username` and `password` of the [[trunk]] with the account there", True),
    403: (
        "forbidden",
        "the registrar knows no such account, or does not let it register: compare `username`, `password` and "
        "`from_domain` of the [[trunk]], and look whether the account may register from this address",
        True,
    ),
    404: ("unknown_user", "it has no such user: compare `username` and `from_domain` of the [[trunk]]", True),
    405: ("no_registrar", "that host takes no registrations: write `registrar`, or leave `register` out", True),
    423: ("too_brief", "set `register_expires` of the [[trunk]] to what it takes", True),
    501: ("no_registrar", "that host takes no registrations: write `registrar`, or leave `register` out", True),
}


def problem_of(response: Response | None, cause: str) -> Problem:
    """What a final answer that is no 2xx means; without one, what `cause` says."""
    if response is None:
        return Problem(
            "no_answer", cause or "nobody answered",
            "look at `host`, `registrar`, `port` and `transport` of the [[trunk]], and at the firewall",
        )  # fmt: skip
    said = f"{response.status} {excerpt(response.reason)[1:-1]}".strip()
    retry_after = response.retry_after
    if response.status in _HINTS:
        code, hint, is_lasting = _HINTS[response.status]
        return Problem(code, said, hint, is_lasting, retry_after)
    if 300 <= response.status < 400:
        hint = "it wants us to register elsewhere: write that host into `registrar` of the [[trunk]]"
        return Problem("redirected", said, hint, is_lasting=True, retry_after=retry_after)
    if response.status >= 500 or response.status in (408, 480):
        return Problem("failed", said, "it is tried again; ask the carrier if that lasts", retry_after=retry_after)
    return Problem("refused", said, "ask the carrier what it wants", is_lasting=True, retry_after=retry_after)
