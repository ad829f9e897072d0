"""Finds or keeps the machine for a message, and knows whose timer is next."""

import re
from typing import Final, TypeAlias

from offhook.sip.effects import Address
from offhook.sip.message import Request, Response
from offhook.sip.timers import TimerQueue
from offhook.sip.transaction.client import ClientTransaction
from offhook.sip.transaction.client import State as ClientState
from offhook.sip.transaction.invite_client import InviteClientTransaction
from offhook.sip.transaction.invite_client import State as InviteState
from offhook.sip.transaction.invite_server import InviteServerTransaction
from offhook.sip.transaction.key import TransactionKey, cancelled_key, client_key, response_key, server_key
from offhook.sip.transaction.server import ServerTransaction

AnyServerTransaction: TypeAlias = InviteServerTransaction | ServerTransaction
AnyClientTransaction: TypeAlias = InviteClientTransaction | ClientTransaction
AnyTransaction: TypeAlias = AnyServerTransaction | AnyClientTransaction

_UNHEARD: Final = frozenset({InviteState.CALLING, InviteState.LEFT, ClientState.TRYING})
"""States in which the peer has said nothing at all."""

_SENT = re.compile(rb"([A-Z]{1,32}) [^\r\n]*\r\nVia: [^\r\n]*?;branch=([^;\r\n]{1,64})[;\r\n]")
"""How each request of ours begins: its method, and the branch of its Via."""


class TransactionLayer:
    """All live transactions of a user agent, at most `limit` of them (`full` says when)."""

    __slots__ = ("_by_id", "_clients", "_keys", "_last_id", "_queue", "_servers", "ignored", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.ignored = 0
        """Inputs of peers that no table knew, of transactions that have ended."""
        self._servers: dict[TransactionKey, AnyServerTransaction] = {}
        self._clients: dict[TransactionKey, AnyClientTransaction] = {}
        self._by_id: dict[int, AnyTransaction] = {}
        self._keys: dict[int, TransactionKey] = {}
        self._queue: TimerQueue[AnyTransaction] = TimerQueue()
        self._last_id = 0

    @property
    def full(self) -> bool:
        """Whether new server transactions have to be refused."""
        return len(self._by_id) >= self.limit

    def __len__(self) -> int:
        return len(self._by_id)

    def next_id(self) -> int:
        """An id for a transaction that is about to be made."""
        self._last_id += 1
        return self._last_id

    def server(self, key: TransactionKey) -> AnyServerTransaction | None:
        """The server transaction under `key` (see `server_key`)."""
        return self._servers.get(key)

    def cancelled(self, cancel: Request) -> InviteServerTransaction | None:
        """The INVITE transaction that a CANCEL is aimed at."""
        found = self._servers.get(cancelled_key(cancel))
        return found if isinstance(found, InviteServerTransaction) else None

    def client(self, response: Response) -> AnyClientTransaction | None:
        """The client transaction that a response answers; none where the number is another than the request's."""
        found = self._clients.get(response_key(response))
        return found if found is not None and found.request.cseq.number == response.cseq.number else None

    def has_sent(self, branch: str, method: str) -> bool:
        """Whether a live client transaction of ours has sent this branch."""
        return client_key(branch, method) in self._clients

    def by_id(self, transaction_id: int) -> AnyTransaction | None:
        """The live transaction with this id, if it still lives."""
        return self._by_id.get(transaction_id)

    def undelivered(self, quoted: bytes, to: Address) -> int | None:
        """The id of the transaction whose request came back, `quoted` as it began (RFC 3261 18.4); None to ignore it.

        Anybody can send an ICMP error, so its request has to be quoted with the branch, which nobody off the path
        knows. It must have gone there, outside of any dialog, and nobody may have answered it.
        """
        sent = _SENT.match(quoted)
        if sent is None:
            return None
        method, branch = sent[1].decode("ascii"), sent[2].decode("ascii", "replace")
        found = self._clients.get(client_key(branch, method))
        if found is None or found.state not in _UNHEARD or found.target.remote != to:
            return None
        return None if found.request.to.tag is not None else found.transaction_id

    def add_server(self, transaction: AnyServerTransaction, key: TransactionKey | None = None) -> None:
        """Keep a new server transaction."""
        key = server_key(transaction.request) if key is None else key
        self._servers[key] = transaction
        self._keep(transaction, key)

    def add_client(self, transaction: AnyClientTransaction, branch: str) -> None:
        """Keep a new client transaction."""
        key = client_key(branch, transaction.request.method)
        self._clients[key] = transaction
        self._keep(transaction, key)

    def settle(self, transaction: AnyTransaction) -> None:
        """After an input: forget the transaction if it has ended, else take note of its next timer."""
        self._queue.arm(transaction)
        if not transaction.terminated:
            return
        if self._by_id.pop(transaction.transaction_id, None) is None:
            return
        self.ignored += transaction.ignored
        # The user knows its transaction: without this, what is over waits for a collection of all that there is.
        transaction.user = None
        key = self._keys.pop(transaction.transaction_id)
        if isinstance(transaction, InviteServerTransaction | ServerTransaction):
            if self._servers.get(key) is transaction:
                del self._servers[key]
        elif self._clients.get(key) is transaction:
            del self._clients[key]

    def next_timeout(self) -> float | None:
        """When the first timer of all is due."""
        return self._queue.next_timeout()

    def pop_due(self, now: float) -> AnyTransaction | None:
        """One transaction whose timer is due; `settle` it after its `handle_timeout`."""
        return self._queue.pop_due(now)

    def _keep(self, transaction: AnyTransaction, key: TransactionKey) -> None:
        self._by_id[transaction.transaction_id] = transaction
        self._keys[transaction.transaction_id] = key
        self._queue.arm(transaction)
