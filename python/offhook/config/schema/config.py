"""The whole configuration, as the programs that read it have it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from offhook.config.presets.use import Filled
from offhook.config.schema.agent import AgentConfig
from offhook.config.schema.http import HttpConfig, TalkConfig
from offhook.config.schema.key import KeyConfig
from offhook.config.schema.media import MediaConfig, media_listen
from offhook.config.schema.node import LimitsConfig, NodeConfig, StoreConfig
from offhook.config.schema.recording import RecordingConfig
from offhook.config.schema.route import RouteConfig
from offhook.config.schema.sip import SipConfig
from offhook.config.schema.trunk import TrunkConfig
from offhook.config.values import HostPort, Listen, ip_version, is_loopback

if TYPE_CHECKING:
    from offhook.transport.tls_files import TlsIdentity, TlsSettings


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, checked and with its defaults filled in.

    `source` is the file, or None for the built-in configuration. `data_dir`, `store_url` and the paths of `recording`
    are ready for use: they are absolute. `warnings` are sentences for the log; nothing in them stops a start.
    `presets` says which settings of trunks are their presets'.
    """

    node: NodeConfig
    sip: SipConfig
    media: MediaConfig
    http: HttpConfig
    talk: TalkConfig
    store: StoreConfig
    recording: RecordingConfig
    limits: LimitsConfig
    trunks: tuple[TrunkConfig, ...]
    routes: tuple[RouteConfig, ...]
    agents: tuple[AgentConfig, ...]
    keys: tuple[KeyConfig, ...]
    data_dir: Path
    store_url: str
    source: Path | None = None
    warnings: tuple[str, ...] = ()
    presets: tuple[Filled, ...] = ()

    def advertised(self, listen: Listen) -> HostPort | None:
        """What peers outside of `sip.local_networks` are told for a listener; None for the address of the interface.

        `sip.advertise` stands in for listeners without their own, if it is a name or of the listener's IP version;
        its port is the listener's if it has none.
        """
        if listen.advertise is not None:
            return listen.advertise
        told = self.sip.advertise
        if not isinstance(told, HostPort) or ip_version(told.host) not in (None, ip_version(listen.host)):
            return None
        # The port that a router holds for plain SIP is never that of TLS.
        return HostPort(told.host, listen.port if listen.transport == "tls" else told.port or listen.port)

    @property
    def tls(self) -> "TlsSettings | None":
        """What SIP over TLS is made of; None where no setting asks for it."""
        sip = self.sip
        listens = any(listen.transport == "tls" for listen in sip.listen)
        calls = any(trunk.host is not None and trunk.transport == "tls" for trunk in self.trunks)
        identities = self._tls_identities
        if not sip.tls_certificate and not sip.tls_ca and not listens and not calls and not identities:
            return None
        # It brings a library that takes a tenth of a second to load.
        from offhook.transport.tls_files import TlsSettings

        return TlsSettings(
            certificate=Path(sip.tls_certificate) if sip.tls_certificate else None,
            key=Path(sip.tls_key) if sip.tls_key else None,
            ca=Path(sip.tls_ca) if sip.tls_ca else None,
            client_certificate=sip.tls_client_certificate,
            min_version=sip.tls_min_version,
            identities=identities,
        )

    @property
    def _tls_identities(self) -> "tuple[TlsIdentity, ...]":
        """The certificates that single trunks are shown."""
        named = [trunk for trunk in self.trunks if trunk.tls_client_certificate is not None]
        if not named:
            return ()
        from offhook.transport.tls_files import TlsIdentity

        return tuple(
            TlsIdentity(
                trunk.name,
                Path(trunk.tls_client_certificate or ""),
                Path(trunk.tls_client_key) if trunk.tls_client_key else None,
            )
            for trunk in named
        )

    @property
    def media_listen(self) -> tuple[str, ...]:
        """The addresses of the media sockets, one of an IP version."""
        return media_listen(self.sip, self.media)

    def media_address(self, family: int) -> str | None:
        """The address of the media sockets of IPv4 or IPv6, None if media is not spoken there."""
        return next((address for address in self.media_listen if ip_version(address) == family), None)

    def advertised_media(self, family: int) -> str | None:
        """The IP address that SDP gives to peers outside of `sip.local_networks`; None for that of the interface."""
        stated = self.media.advertise
        told = self.sip.advertise
        addresses = stated if isinstance(stated, tuple) else (told.host,) if isinstance(told, HostPort) else ()
        return next((address for address in addresses if ip_version(address) == family), None)

    @property
    def talks(self) -> bool:
        """Whether the talk page is served."""
        return is_loopback(self.http.listen.host) if self.talk.enabled is None else self.talk.enabled

    def trunk(self, name: str) -> TrunkConfig | None:
        """The trunk of that name."""
        return next((trunk for trunk in self.trunks if trunk.name == name), None)

    def agent(self, name: str) -> AgentConfig | None:
        """The agent of that name."""
        return next((agent for agent in self.agents if agent.name == name), None)
