"""Kamailio as a registrar that we register with, and as a registrant that registers with us."""

import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.support.gateway import ports, wait_until

APT = "sudo apt-get install kamailio"
_MODULES = Path("/usr/lib/x86_64-linux-gnu/kamailio/modules")

_HEAD = """\
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=1
auto_aliases=no
server_signature=no
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
tcp_source_ipv4={host}
mpath="{modules}/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "xlog.so"
loadmodule "siputils.so"
"""

_REGISTRAR = """\
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "default_expires", {least})
modparam("registrar", "max_expires", {most})

request_route {{
    xlog("L_NOTICE", "got: $rm from $si:$sp for $tu expires $hdr(Expires)\\n");
    if (is_method("REGISTER")) {{
        if ($hdr(Expires) =~ "^[1-9]" && $(hdr(Expires){{s.int}}) < {least}) {{
            append_to_reply("Min-Expires: {least}\\r\\n");
            sl_send_reply("423", "Interval Too Brief");
            exit;
        }}
        if (!pv_www_authenticate("acme.example", "s3cret", "0")) {{
            auth_challenge("acme.example", "1");
            exit;
        }}
        save("location");
        exit;
    }}
    if (is_method("INVITE") && !has_totag()) {{
        record_route();
        $ru = "sip:" + $rU + "@acme.example";
        if (!lookup("location")) {{
            sl_send_reply("404", "Not Here");
            exit;
        }}
        t_relay();
        exit;
    }}
    if (has_totag() && loose_route()) {{
        t_relay();
        exit;
    }}
    if (is_method("CANCEL|ACK") && t_check_trans()) {{ t_relay(); }}
    exit;
}}
"""

_REGISTRANT = """\
loadmodule "db_text.so"
loadmodule "uac.so"
modparam("uac", "reg_db_url", "text://{directory}/db")
modparam("uac", "reg_timer_interval", 1)
modparam("uac", "reg_retry_interval", 2)
modparam("uac", "reg_contact_addr", "{host}:{port}")

request_route {{
    xlog("L_NOTICE", "got: $rm from $si:$sp for $ru\\n");
    if (is_method("INVITE")) {{ sl_send_reply("486", "Busy Here"); }}
    exit;
}}
"""

_UACREG = (
    "id(int,auto) l_uuid(str) l_username(str) l_domain(str) r_username(str) r_domain(str) realm(str) "
    "auth_username(str) auth_password(str) auth_ha1(str,null) auth_proxy(str) expires(int) flags(int) reg_delay(int) "
    "contact_addr(str,null) socket(str,null)\n"
)


class _Kamailio:
    """One process with a configuration."""

    def __init__(self, directory: Path, host: str, script: str) -> None:
        assert shutil.which("kamailio"), f"kamailio is missing: {APT}"
        modules = _MODULES if _MODULES.exists() else next(Path("/usr/lib").glob("*/kamailio/modules"), _MODULES)
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.address = directory, (host, ports(1))
        head = _HEAD.format(host=host, port=self.address[1], modules=modules)
        (directory / "kamailio.cfg").write_text(head + script.replace("@PORT@", str(self.address[1])))
        self._log = directory / "kamailio.log"
        command = ["kamailio", "-DD", "-E", "-f", str(directory / "kamailio.cfg"), "-Y", str(directory)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "-m", "16", "-M", "4"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def said(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")

    def got(self, method: str) -> list[str]:
        """The requests of a method that came, one line each."""
        return [line for line in self.said().splitlines() if f"got: {method} " in line]

    def says(self, method: str, count: int, within: float = 60.0) -> list[str]:
        """Wait until so many requests of a method have come."""
        return wait_until(lambda: found if len(found := self.got(method)) >= count else None, within, self.said)


class KamailioRegistrar(_Kamailio):
    """Takes REGISTER by digest for `least` to `most` seconds, and sends calls on to who has registered."""

    def __init__(self, directory: Path, host: str, *, least: int, most: int) -> None:
        super().__init__(directory, host, _REGISTRAR.format(least=least, most=most))


class KamailioRegistrant(_Kamailio):
    """Registers `user` with a gateway by its uac module, and says 486 to every call."""

    def __init__(self, directory: Path, host: str, gateway: tuple[str, int], user: str, password: str) -> None:
        (directory / "db").mkdir(parents=True)
        (directory / "db/version").write_text("table_name(str) table_version(int)\nuacreg:5\n")
        there = f"{gateway[0]}\\:{gateway[1]}"
        row = f"0:one:{user}:{gateway[0]}:{user}:{gateway[0]}:test:{user}:{password}::sip\\:{there}:60:16:0::\n"
        (directory / "db/uacreg").write_text(_UACREG + row)
        super().__init__(directory, host, _REGISTRANT.format(directory=directory, host=host, port="@PORT@"))
