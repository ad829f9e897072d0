"""The phones that register with us: where they are, whether they can still be reached, what is kept over a restart."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from offhook.errors import RemoteProtocolError
from offhook.observe.printable import printable
from offhook.route.trunk import Trunk, TrunkTable
from offhook.sip.effects import Source, Target
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.message import Request
from offhook.sip.registrar import Answer, Binding, Owner, Registrar

_log = structlog.get_logger("offhook.phones")

FILE = "phones.json"
"""What is kept of them in the data directory."""

PING = 28.0
"""Seconds between two keep-alives to a phone that is reached by UDP: routers forget a way in 30 s or more."""

_SAVE_AFTER = 1.0
_LARGEST_FILE = 16 << 20

Perform = Callable[[Callable[[float], object]], Any]


class Phones:
    """Takes the REGISTERs of `trunks`' phones and knows where they are. Lives on the event loop.

    `ping` keeps the way to a phone open. `directory` is where they are kept over a restart; None keeps nothing.
    """

    def __init__(
        self,
        trunks: TrunkTable,
        *,
        perform: Perform,
        ping: Callable[[Target], None],
        wall: Callable[[float], int],
        directory: Path | None = None,
        counted: Callable[[str, int], None] = lambda trunk, status: None,
    ) -> None:
        self._trunks = trunks
        self._perform = perform
        self._ping = ping
        self._wall = wall
        self._file = None if directory is None else directory / FILE
        self._counted = counted
        self._registrar = Registrar()
        self._timer: asyncio.TimerHandle | None = None
        self._saving: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    # -- its life

    async def start(self) -> None:
        """Read what was registered before, and begin to keep ways open."""
        if not any(trunk.phones for trunk in self._trunks):
            return
        if self._file is not None:
            self._restore(await asyncio.to_thread(_read, self._file))
        self._timer = asyncio.get_running_loop().call_later(PING, self._turn)

    async def close(self) -> None:
        """Write what is registered, for the next start."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
            self._save()
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    # -- who registers

    def take(self, request: Request, source: Source, peer: object, user: str, now: float) -> Answer:
        """Answer a REGISTER of `user`, who has proven to be that."""
        phone = peer.phone(user) if isinstance(peer, Trunk) else None
        if phone is None or not isinstance(peer, Trunk):
            return Answer(403)
        owner = Owner(peer.name, user)
        before = {binding.contact for binding in self._registrar.bindings(owner, now)}
        answer = self._registrar.register(owner, phone.max_contacts, request, source, now)
        self._counted(peer.name, answer.status)
        if answer.status != 200:
            _log.warning(
                "phone.refused", trunk=peer.name, phone=user, source=source.remote[0], status=answer.status,
                why=answer.reason or "",
            )  # fmt: skip
        if answer.changed:
            self._tell(owner, before, source, now)
            self._save_soon()
        return answer

    def _tell(self, owner: Owner, before: set[str], source: Source, now: float) -> None:
        after = {binding.contact for binding in self._registrar.bindings(owner, now)}
        if after - before:
            _log.info("phone.registered", trunk=owner.trunk, phone=owner.user, source=source.remote[0])
        elif not after and before:
            _log.info("phone.left", trunk=owner.trunk, phone=owner.user)

    # -- where they are

    def places(self, trunk: str, user: str) -> tuple[Binding, ...]:
        """Where a phone is, what it likes best first; none if it is not registered."""
        return self._registrar.bindings(Owner(trunk, user), asyncio.get_running_loop().time())

    def flows(self) -> set[int]:
        """Connections by which phones are reached, which are not closed for idleness."""
        now = asyncio.get_running_loop().time()
        return {binding.flow for binding in self._all(now) if binding.transport != "udp" and binding.flow is not None}

    def registered(self) -> dict[str, int]:
        """How many phones of each trunk are registered."""
        now = asyncio.get_running_loop().time()
        return {
            trunk.name: sum(
                bool(self._registrar.bindings(Owner(trunk.name, phone.username), now)) for phone in trunk.phones
            )
            for trunk in self._trunks
            if trunk.phones
        }

    def listed(self) -> list[dict[str, Any]]:
        """All phones and their contacts, for the API and the command line. Times are UTC milliseconds."""
        now = asyncio.get_running_loop().time()
        return [
            {
                "trunk": trunk.name,
                "phone": phone.username,
                "max_contacts": phone.max_contacts,
                "contacts": [
                    self._contact(one) for one in self._registrar.bindings(Owner(trunk.name, phone.username), now)
                ],
            }
            for trunk in self._trunks
            for phone in trunk.phones
        ]

    def _contact(self, binding: Binding) -> dict[str, Any]:
        host, port = binding.remote
        return {
            "contact": printable(binding.contact),
            "address": f"{binding.transport}:{f'[{host}]' if ':' in host else host}:{port}",
            "behind_nat": binding.uri.host != host,
            "q": binding.q,
            "user_agent": printable(binding.user_agent),
            "registered_at": self._wall(binding.registered_at),
            "until": self._wall(binding.until),
        }

    def _all(self, now: float) -> list[Binding]:
        return [binding for owner in self._registrar.owners() for binding in self._registrar.bindings(owner, now)]

    # -- how it goes on

    def _turn(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PING, self._turn)
        self._perform(self._wake)

    def _wake(self, now: float) -> None:
        for owner in self._registrar.expire(now):
            if not self._registrar.bindings(owner, now):
                _log.info("phone.gone", trunk=owner.trunk, phone=owner.user)
            self._save_soon()
        for binding in self._all(now):
            if binding.transport == "udp":
                self._ping(binding.target)

    # -- what is kept

    def _save_soon(self) -> None:
        if self._file is not None and self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(_SAVE_AFTER, self._save)

    def _save(self) -> None:
        self._saving = None
        if self._writing is not None and not self._writing.done():
            self._save_soon()
            return
        assert self._file is not None, "nothing is to be saved without one"
        now = asyncio.get_running_loop().time()
        rows = [
            {"trunk": owner.trunk, "user": owner.user, **self._row(binding)}
            for owner in self._registrar.owners()
            for binding in self._registrar.bindings(owner, now)
        ]
        self._writing = asyncio.get_running_loop().create_task(self._write(self._file, rows), name="phones")

    def _row(self, binding: Binding) -> dict[str, Any]:
        # A connection does not outlive us; a UDP socket is found by the address.
        row = {name: value for name, value in asdict(binding).items() if name != "flow"}
        return row | {"until": self._wall(binding.until), "registered_at": self._wall(binding.registered_at)}

    async def _write(self, file: Path, rows: list[dict[str, Any]]) -> None:
        try:
            await asyncio.to_thread(_write, file, rows)
        except OSError as error:
            _log.warning("phones.not_kept", file=str(file), why=error.strerror, lost="registrations at a restart")

    def _restore(self, rows: list[Mapping[str, Any]]) -> None:
        now = asyncio.get_running_loop().time()
        found: dict[Owner, list[Binding]] = {}
        for row in rows:
            trunk = self._trunks.get(str(row.get("trunk")))
            user = str(row.get("user"))
            if trunk is None or trunk.phone(user) is None or row.get("transport") != "udp":
                continue
            binding = self._read_binding(row, now)
            if binding is not None and binding.until > now:
                found.setdefault(Owner(trunk.name, user), []).append(binding)
        for owner, bindings in found.items():
            trunk = self._trunks.get(owner.trunk)
            phone = trunk.phone(owner.user) if trunk is not None else None
            assert phone is not None, "looked up above"
            self._registrar.restore(owner, bindings, phone.max_contacts)
        if found:
            _log.info("phones.restored", phones=len(found))

    def _read_binding(self, row: Mapping[str, Any], now: float) -> Binding | None:
        at = self._wall(now)
        try:
            binding = Binding(
                contact=str(row["contact"]),
                call_id=str(row["call_id"]),
                cseq=int(row["cseq"]),
                until=now + (int(row["until"]) - at) / 1000,
                registered_at=now + (int(row["registered_at"]) - at) / 1000,
                transport=str(row["transport"]),
                remote=(str(row["remote"][0]), int(row["remote"][1])),
                q=float(row["q"]),
                path=tuple(str(value) for value in row["path"]),
                instance=str(row["instance"]),
                user_agent=str(row["user_agent"]),
            )
            for text in (f"<{binding.contact}>", *binding.path):
                NameAddr.parse(text)
        except (KeyError, IndexError, TypeError, ValueError, RemoteProtocolError):
            return None
        return binding


def _read(file: Path) -> list[Mapping[str, Any]]:
    """The rows of the file; none of one that is missing, too large or broken."""
    try:
        if file.stat().st_size > _LARGEST_FILE:
            return []
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    made = file.with_suffix(".new")
    made.write_text(json.dumps(rows), encoding="utf-8")
    made.chmod(0o600)
    made.replace(file)
