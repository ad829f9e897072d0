"""Kamailio in front of the gateway: a stateful proxy that stays in the way of every call by Record-Route."""

import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

from tests.support.gateway import ports, wait_until

APT = "sudo apt-get install kamailio kamailio-tls-modules"
HOST = "127.0.0.21"
_MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules/"

# Requests out of a dialog go to the gateway; within one they follow their Route.
_CONFIG = """\
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=1
disable_tcp=no
tcp_source_ipv4={host}
auto_aliases=no
server_signature=no
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "xlog.so"
loadmodule "sdpops.so"
loadmodule "corex.so"
modparam("rr", "enable_full_lr", 1)
{tls}{auth}
request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            xlog("L_NOTICE", "within: $rm from $si by $proto to $du\\n");
            {proves}{within}t_relay();
            exit;
        }}
        if (is_method("ACK")) {{
            if (t_check_trans()) {{
                t_relay();
            }}
            exit;
        }}
        sl_send_reply("404", "No Route header");
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) {{
            t_relay();
        }}
        exit;
    }}
    {proves}record_route();
    {forks}{told}$du = "sip:{gateway[0]}:{gateway[1]};transport={transport}";
    t_relay();
}}
"""

_TLS = """\
enable_tls=yes
loadmodule "tls.so"
modparam("tls", "config", "{profiles}")
{listen}
"""
_TOLD = 'xlog("L_NOTICE", "came: $rm to $Rp by $proto from <$tls_peer_subject_cn>\\n");\n    '

_AUTH = """\
loadmodule "auth.so"
modparam("auth", "algorithm", "{algorithm}")
modparam("pv", "shvset", "expired=i:0")
"""
_PROVES = """\
if (is_method("INVITE|BYE") && $sp != {gateway[1]}) {{
        if (!pv_{kind}_authenticate("{realm}", "{password}", "0")) {{
            xlog("L_NOTICE", "digest: $rm by $proto from $fU challenged\\n");
            {kind}_challenge("{realm}", "1");
            exit;
        }}
        if ($fU == "{late}" && $shv(expired) == 0) {{
            $shv(expired) = 1;
            xlog("L_NOTICE", "digest: $rm by $proto from $fU challenged as stale\\n");
            {kind}_challenge("{realm}", "17");
            exit;
        }}
        xlog("L_NOTICE", "digest: $rm by $proto from $fU proven by $aa\\n");
        consume_credentials();
    }}
    """


@dataclass(frozen=True, slots=True)
class Digest:
    """What a Kamailio asks of callers, by 401 (`www`) or 407 (`proxy`), for calls and their ends; qop is auth.

    The first nonce that `late` uses has expired by then: it is asked again, with `stale=true`.
    """

    kind: Literal["www", "proxy"]
    password: str
    algorithm: Literal["MD5", "SHA-256"] = "MD5"
    late: str = "nobody"
    realm: str = "edge.example"


class Kamailio:
    """A Kamailio at `HOST`, UDP and TCP, whose way to the gateway is `transport`.

    `also` are others that it sends each call to at the same time (RFC 3261 section 16.6, parallel forking).
    `removed` is a codec that it takes out of every offer within a call, as a border controller does.
    `digest` is what callers have to prove, whom the gateway is not.
    `tls` are ports of TLS, each with the lines of its profile (certificate, whom it asks for one).
    """

    def __init__(
        self,
        directory: Path,
        gateway: tuple[str, int],
        transport: str,
        *,
        also: Sequence[tuple[str, int]] = (),
        removed: str = "",
        tls: Mapping[int, Sequence[str]] | None = None,
        digest: Digest | None = None,
    ) -> None:
        assert shutil.which("kamailio"), f"kamailio is missing: {APT}"
        modules = Path(_MODULES)
        if not modules.exists():
            modules = next(Path("/usr/lib").glob("*/kamailio/modules"), modules)
        directory.mkdir(parents=True, exist_ok=True)
        self.address = (HOST, ports(1))
        config = directory / "kamailio.cfg"
        fields = {"host": HOST, "port": self.address[1], "modules": f"{modules}/", "transport": transport}
        forks = "".join(f'$du = "sip:{host}:{port}"; append_branch();\n    ' for host, port in also)
        within = (
            f'if (is_method("INVITE")) {{ sdp_remove_codecs_by_name("{removed}"); }}\n            ' if removed else ""
        )
        profiles = directory / "tls.cfg"
        secure = "".join(f"listen=tls:{HOST}:{port}\n" for port in tls or ())
        # It does not start without a profile for who comes to no port of its own, either.
        named = {f"server:{HOST}:{port}": lines for port, lines in (tls or {}).items()}
        sections = {
            "server:default": next(iter(named.values()), ()),
            "client:default": ("verify_certificate = no",),
            **named,
        }
        profiles.write_text("".join("\n".join((f"[{name}]", *lines, "")) for name, lines in sections.items()))
        fields["tls"] = _TLS.format(profiles=profiles, listen=secure) if tls else ""
        fields["told"] = _TOLD if tls else ""
        fields["auth"] = fields["proves"] = ""
        if digest is not None:
            fields["auth"] = _AUTH.format(algorithm=digest.algorithm)
            fields["proves"] = _PROVES.format(**asdict(digest), gateway=gateway)
        config.write_text(_CONFIG.format(**fields, gateway=gateway, forks=forks, within=within))
        self._log = directory / "kamailio.log"
        command = ["kamailio", "-DD", "-E", "-f", str(config), "-Y", str(directory), "-m", "16", "-M", "4"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory, start_new_session=True
            )

        def up() -> bool:
            assert self._process.poll() is None, self.said()
            try:
                for port in (self.address[1], *(tls or ())):
                    socket.create_connection((HOST, port), timeout=1).close()
            except OSError:
                return False
            return True

        try:
            wait_until(up, 30, lambda: f"kamailio does not start: {self.said()}")
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def said(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")

    def relayed(self, method: str) -> list[str]:
        """Where requests of this method within a dialog were sent on to, one line each."""
        return [line for line in self.said().splitlines() if f"within: {method} " in line]

    def proven(self) -> list[str]:
        """What came to be proven, and what of it was: method, transport, who, and the word on it, one line each."""
        return [line.partition("digest: ")[2] for line in self.said().splitlines() if "digest: " in line]

    def came(self) -> list[str]:
        """Which calls came in where TLS is spoken: method, port, and who the certificate was of, one line each."""
        return [line.partition("came: ")[2] for line in self.said().splitlines() if "came: " in line]

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
