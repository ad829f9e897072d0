"""Twinkle as a phone, driven by what is typed, with pipes for its sound card."""

import os
import pty
import re
import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.support.gateway import ports, wait_until
from tests.support.sound_card import SoundCard

APT = "sudo apt-get install twinkle-console"

_SYSTEM = """\
dev_ringtone=alsa:null
dev_speaker=alsa:ears
dev_mic=alsa:mouth
validate_audio_dev=no
log_show_sip=yes
log_show_debug=no
sip_port={sip}
rtp_port={rtp}
play_ringtone=no
play_ringback=no
call_waiting=no
"""

_USER = """\
user_name=phone
user_domain=127.0.0.1
register_at_startup=no
codecs={codecs}
ptime=20
dtmf_transport={dtmf}
hold_variant={hold}
ext_100rel={reliable}
ext_replaces=yes
allow_refer={refers}
ask_user_to_refer=no
referrer_hold=yes
referee_hold={referee_hold}
sip_transport=udp
timer_noanswer=30
speex_dsp_vad=no
speex_dsp_agc=no
speex_dsp_nrd=no
"""


class Twinkle:
    """A phone at 127.0.0.1 that says a tone of `hz`.

    `hold` is `rfc3264` (a=sendonly) or `rfc2543` (0.0.0.0); `reliable` is what it thinks of PRACK: `disabled`,
    `supported`, `preferred`, `required`. `dtmf` is how it presses keys: `rfc2833`, `inband`, `info`, or
    `auto`, by what was agreed on. With an `account` (user, password, host and port) it registers;
    without `refers` it refuses REFER.
    `codecs` are `g711u`, `g711a`, in its order of preference.
    """

    def __init__(
        self,
        directory: Path,
        hz: float,
        *,
        codecs: str = "g711u,g711a",
        hold: str = "rfc3264",
        reliable: str = "supported",
        referee_hold: bool = False,
        dtmf: str = "auto",
        account: tuple[str, str, str] | None = None,
        refers: bool = True,
    ) -> None:
        assert shutil.which("twinkle-console"), f"twinkle-console is missing: {APT}"
        self.card = SoundCard(directory, hz)
        settings = directory / ".twinkle"
        settings.mkdir(parents=True)
        self.port, self.rtp = ports(2), ports(20)
        self.directory = directory
        (settings / "twinkle.sys").write_text(_SYSTEM.format(sip=self.port, rtp=self.rtp))
        fields = {"codecs": codecs, "hold": hold, "reliable": reliable, "referee_hold": "yes" if referee_hold else "no"}
        fields |= {"dtmf": dtmf, "refers": "yes" if refers else "no"}
        user = _USER.format(**fields)
        if account is not None:
            name, password, domain = account
            user = user.replace("user_name=phone", f"user_name={name}\nauth_name={name}\nauth_pass={password}")
            user = user.replace("user_domain=127.0.0.1", f"user_domain={domain}")
            user = user.replace("register_at_startup=no", "register_at_startup=yes\nregistration_time=60")
        (settings / "phone.cfg").write_text(user)
        self._log = directory / "said"
        # Its line editor wants a terminal.
        self._terminal, inner = pty.openpty()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["twinkle-console", "phone.cfg"],
                stdin=inner, stdout=log, stderr=log, cwd=directory, env=self.card.environ,
            )  # fmt: skip
        os.close(inner)

    def __enter__(self) -> Self:
        self.card.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.card.__exit__()
        os.close(self._terminal)

    def type(self, line: str) -> None:
        """Give it a command."""
        os.write(self._terminal, f"{line}\n".encode())

    def said(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    def says(self, pattern: str, within: float = 30.0, since: int = 0) -> int:
        """Wait until it has printed this after `since`; where that ends."""

        def found() -> int | None:
            match = re.compile(pattern).search(self.said(), since)
            return match.end() if match else None

        return wait_until(found, within, lambda: f"no {pattern}: {self.said()[since:]}\n{self.log()[-6000:]}")

    def log(self) -> str:
        """Its log, with all SIP messages."""
        log = self.directory / ".twinkle/twinkle.log"
        return log.read_text(errors="replace") if log.exists() else ""
