"""Phones that register with the gateway, in virtual time."""

from pathlib import Path
from typing import Any, Self

from offhook.sip.digest import ALGORITHMS, Credentials
from offhook.sip.message import Response
from offhook.sip.uri import SipUri

from .carrier import Carrier
from .world import GATEWAY, Network, World

CONFIG = """
[[trunk]]
name = "desk"
caller_id = "100"
phones = [
  { username = "alice", password = "alices-secret" },
  { username = "bob", password = "bobs-secret", max_contacts = 3 },
]

[[route]]
name = "all"
destination = "echo:"

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://agent.example/voice"
"""

PASSWORDS = {"alice": "alices-secret", "bob": "bobs-secret"}


class Phone(Carrier):
    """A phone at an address of its own; `calls` has those that come to it."""

    def __init__(self, network: Network, user: str, password: str, host: str) -> None:
        super().__init__(network, host)
        self.user = user
        self.password = password
        self.algorithms = tuple(ALGORITHMS)
        self.address = SipUri(GATEWAY, None, user)
        self._number = 0
        self.world: World

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.user, self.password, frozenset({GATEWAY}), algorithms=self.algorithms)

    async def register(self, expires: int = 3600, as_user: str = "") -> int:
        """Register, or leave; the status of the answer."""
        answers: list[Response | None] = []

        def number() -> int:
            self._number += 1
            return self._number

        address = SipUri(GATEWAY, None, as_user) if as_user else self.address
        self.stack.perform(
            lambda now: self.user_agent.register(
                SipUri(GATEWAY),
                address,
                expires,
                lambda response, why, target, at: answers.append(response),
                now,
                contact_user=self.user,
                call_id=f"{self.user}@{self.host}",
                number=number,
                next_hop=SipUri(GATEWAY, 5060),
                credentials=self.credentials,
            )
        )
        await self.world.pass_time(0.2)
        [answer] = answers
        assert answer is not None
        return answer.status


class DeskWorld(World):
    """A gateway with two phones. `kept_in` is the directory of what outlives it."""

    def __init__(self, config: str = CONFIG, *, kept_in: object = None, **options: Any) -> None:
        super().__init__(config, **options)
        self._kept_in = kept_in

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if isinstance(self._kept_in, Path):
            self.signalling.phones._file = self._kept_in / "phones.json"
        await self.signalling.phones.start()
        return self

    async def phone(self, user: str, password: str = "", host: str = "") -> Phone:
        """A phone that has not registered yet."""
        known = list(PASSWORDS).index(user) + 1 if user in PASSWORDS else 9
        phone = Phone(self.network, user, password or PASSWORDS.get(user, "x"), host or f"198.51.100.{known}")
        phone.world = self
        await phone.stack.start()
        return phone
