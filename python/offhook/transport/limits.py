"""What the transport layer spends on its peers."""

from dataclasses import dataclass

from offhook.sip.parser import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Times in seconds, sizes in bytes. Whatever goes beyond is dropped or closed, and counted."""

    message: Limits = DEFAULT_LIMITS
    datagrams_per_wakeup: int = 24
    """Datagrams read before timers and other sockets get their turn."""
    datagrams_waiting: int = 512
    """Datagrams that wait for room in a socket's send buffer; the newest is dropped."""
    receive_buffer: int = 4 << 20
    send_buffer: int = 1 << 20
    max_connections: int = 2_000
    max_connections_per_source: int = 64
    first_message_timeout: float = 10.0
    """How long a connection may say nothing after it was opened."""
    half_message_timeout: float = 10.0
    """How long a message may take from its first byte to its last."""
    idle_timeout: float = 900.0
    """How long a connection that no session uses is kept after its last message."""
    write_buffer: int = 256 << 10
    """What a peer may leave unread before its connection is cut."""
    connect_timeout: float = 4.0
    handshake_timeout: float = 10.0
    """How long a TLS handshake may take from the connection to its end, the wait for its turn included."""
    max_handshakes: int = 512
    """Unfinished handshakes in all; sources that no trunk lists in `allow` get half of them."""
    max_handshakes_per_source: int = 16
    handshakes_per_second: float = 100.0
    """Handshakes that are begun a second; each costs the event loop 0.3 (ECDSA P-256) to 1.2 ms (RSA 2048)."""
    handshake_burst: int = 8
    """Handshakes that may be begun at once."""
    handshake_bytes: int = 64 << 10
    """What a peer may send before the handshake is done: hello, certificate chain, key exchange."""
    poor_records: int = 1_024
    """TLS records with less than 16 bytes of SIP that a connection may send beyond `poor_records_per_second`."""
    poor_records_per_second: float = 10.0
    messages_waiting: int = 64
    """Messages that wait for a connection to be opened."""
    transactions_per_connection: int = 1_000
    """Requests per connection that hear of its end."""
    dns_timeout: float = 5.0
    sweep_interval: float = 1.0
    """How often connections are looked at for being overdue."""
