"""Call flows for sipp, written as they read, run by the real `sipp`.

`Scenario` writes the XML that sipp takes: every message in it is text of ours, nothing of the gateway's code is used.
`play` runs it and fails with sipp's own error and the path of the XML, so that it can be run again by hand.
"""

import itertools
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tests.support.gateway import is_bound, ports, wait_until

LIMIT_MS = 15_000
APT = "sudo apt-get install sip-tester"

OFFER = """\
v=0
o=sipp 1 1 IN IP[media_ip_type] [media_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
"""

_COPIED = "Via", "From", "To", "CSeq"
"""What an answer copies of its request, besides the Call-ID."""

_TRANSPORTS = {"udp": "u1", "tcp": "t1"}


@dataclass(frozen=True, slots=True)
class Check:
    """A POSIX extended regular expression that must be found (or must not) in a header, or anywhere in a message."""

    pattern: str
    header: str | None = None
    absent: bool = False


class Scenario:
    """A caller's flow, step by step. Steps return the scenario, so that a test reads as the flow does.

    `to` is the user that is called; `via` replaces the Via without its branch. With `talks_over` two messages may
    follow one another, and what comes between them is passed over; else whatever is not expected fails the flow.
    """

    def __init__(
        self,
        name: str,
        to: str = "echo",
        *,
        via: str | None = None,
        contact: str | None = None,
        talks_over: bool = False,
    ) -> None:
        self.name = name
        self.talks_over = talks_over
        self.to = to
        self._via = via or "SIP/2.0/[transport] [local_ip]:[local_port]"
        self.contact = contact or "<sip:sipp@[local_ip]:[local_port];transport=[transport]>"
        self._steps: list[str] = []
        self._variables = 0
        self._tail = ""
        self._kept: dict[str, int] = {}
        self._own = f"z9hG4bK-{name}-[pid]-[call_number]"

    # -- what is sent

    def invite(
        self,
        body: str | None = OFFER,
        *,
        cseq: int = 1,
        branch: str = "invite",
        headers: tuple[str, ...] = (),
        within: bool = False,
        uri: str | None = None,
    ) -> "Scenario":
        """INVITE; `within` a dialog it is a re-INVITE. The same `branch` again is a retransmission."""
        return self.request("INVITE", body, cseq=cseq, branch=branch, headers=headers, within=within, uri=uri)

    def request(
        self,
        method: str,
        body: str | None = None,
        *,
        cseq: int,
        branch: str,
        headers: tuple[str, ...] = (),
        within: bool = True,
        uri: str | None = None,
        kind: str = "application/sdp",
        to_tag: str = "[peer_tag_param]",
        from_tag: str | None = None,
    ) -> "Scenario":
        """Any request. `within` a dialog it goes to the peer's Contact by the route set and carries its tag."""
        return self.text(
            f"{method} {uri or ('[next_url]' if within else f'sip:{self.to}@[remote_ip]:[remote_port]')} SIP/2.0",
            f"Via: {self._via};branch={self._own}-{branch}",
            *(("[routes]",) if within else ()),
            "Max-Forwards: 70",
            f"From: <sip:+14155550100@[local_ip]:[local_port]>;tag={from_tag or f'[pid]-{self.name}-[call_number]'}",
            f"To: <sip:{self.to}@[remote_ip]:[remote_port]>{to_tag if within else ''}",
            "Call-ID: [call_id]",
            f"CSeq: {cseq} {method}",
            *((f"Contact: {self.contact}",) if method in ("INVITE", "UPDATE", "SUBSCRIBE", "REGISTER") else ()),
            *headers,
            *((f"Content-Type: {kind}",) if body else ()),
            "Content-Length: [len]",
            "",
            *(body or "").rstrip("\n").split("\n"),
        )

    def ack(self, body: str | None = None, *, cseq: int = 1) -> "Scenario":
        """ACK to a 2xx: a request of its own."""
        return self.request("ACK", body, cseq=cseq, branch=f"ack{cseq}")

    def ack_refusal(self, *, branch: str = "invite", cseq: int = 1) -> "Scenario":
        """ACK to a refusal: of the INVITE's transaction, to its Request-URI."""
        uri = f"sip:{self.to}@[remote_ip]:[remote_port]"
        return self.request("ACK", cseq=cseq, branch=branch, uri=uri)

    def bye(self, *, cseq: int = 2, headers: tuple[str, ...] = ()) -> "Scenario":
        """BYE, not waiting for its answer."""
        return self.request("BYE", cseq=cseq, branch=f"bye{cseq}", headers=headers)

    def cancel(self, *, branch: str = "invite", cseq: int = 1, headers: tuple[str, ...] = ()) -> "Scenario":
        """CANCEL of the INVITE of that branch."""
        uri = f"sip:{self.to}@[remote_ip]:[remote_port]"
        return self.request("CANCEL", cseq=cseq, branch=branch, uri=uri, to_tag="", headers=headers)

    def text(self, *lines: str) -> "Scenario":
        """A message as it is; sipp fills in its keywords."""
        message = "\n".join(lines).rstrip("\n")
        if not any(line == "" for line in lines) or lines[-1] == "":
            message += "\n"
        self._steps.append(f"<send><![CDATA[\n{message}\n\n]]></send>")
        return self

    def answer(
        self,
        status: str = "200 OK",
        body: str | None = None,
        *,
        headers: tuple[str, ...] = (),
        tag: str = "",
        keep: bool = False,
    ) -> "Scenario":
        """Answer the request that was kept, or else came last; `tag` is ours where its To has none yet.

        With `keep` the next one answers the same request.
        """
        copied = [f"{name}:[${at}]" for name, at in self._kept.items()] or [f"[last_{name}:]" for name in _COPIED]
        self._kept = self._kept if keep else {}
        copied[2] += f";tag={tag}" if tag else ""
        return self.text(
            f"SIP/2.0 {status}",
            *copied,
            "Call-ID: [call_id]",
            *((f"Contact: {self.contact}",) if status.startswith("2") else ()),
            *headers,
            *(("Content-Type: application/sdp",) if body else ()),
            "Content-Length: [len]",
            "",
            *(body or "").rstrip("\n").split("\n"),
        )

    # -- what is expected

    def expect(
        self, status: int, *checks: Check, optional: bool = False, within_ms: int = LIMIT_MS, routes: bool = True
    ) -> "Scenario":
        """A response, with what must be in it. Retransmissions of what came last are passed over by sipp itself."""
        flags = ' optional="true"' if optional else f' timeout="{within_ms}"'
        flags += ' rrs="true"' if routes else ""
        self._steps.append(f'<recv response="{status}"{flags}>{self._actions(checks)}</recv>')
        return self

    def expect_reliable(self, status: int, *checks: Check, within_ms: int = LIMIT_MS) -> "Scenario":
        """A provisional response that asks for a PRACK; its RSeq is kept for `prack`."""
        keep = '<ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" check_it="true" assign_to="rseq"/>'
        actions = self._actions((Check("100rel", "Require"), *checks)).removesuffix("</action>") + keep + "</action>"
        self._steps.append(f'<recv response="{status}" timeout="{within_ms}" rrs="true">{actions}</recv>')
        return self

    def prack(self, body: str | None = None, *, cseq: int = 2, rack: str = "[$rseq] 1 INVITE") -> "Scenario":
        """PRACK to the reliable response that came last."""
        return self.request("PRACK", body, cseq=cseq, branch=f"prack{cseq}", headers=(f"RAck: {rack}",))

    def expect_request(self, method: str, *checks: Check, within_ms: int = LIMIT_MS, keep: bool = False) -> "Scenario":
        """A request of the gateway; with `keep` the next `answer` is to this one, whatever comes in between."""
        actions = self._actions(checks)
        if keep:
            first = self._variables + 1
            self._kept = {name: first + number for number, name in enumerate(_COPIED)}
            self._variables += len(_COPIED)
            kept = "".join(
                f'<ereg regexp=".*" search_in="hdr" header="{name}:" assign_to="{at}"/>'
                for name, at in self._kept.items()
            )
            # Of two <action> sipp does the first alone.
            actions = f"{actions.removesuffix('</action>') or '<action>'}{kept}</action>"
        self._steps.append(f'<recv request="{method}" timeout="{within_ms}">{actions}</recv>')
        return self

    def pause(self, ms: int) -> "Scenario":
        """Stay in the call for a while."""
        self._steps.append(f'<pause milliseconds="{ms}"/>')
        return self

    def authenticate(self, username: str, password: str) -> str:
        """The header line by which sipp answers the challenge that came last (`expect_challenge`)."""
        return f"[authentication username={username} password={password}]"

    def expect_challenge(self, *checks: Check) -> "Scenario":
        """401 with a challenge for `authenticate`."""
        self._steps.append(f'<recv response="401" auth="true" timeout="{LIMIT_MS}">{self._actions(checks)}</recv>')
        return self

    # -- whole passages

    def set_up(self, *checks: Check, body: str | None = OFFER, headers: tuple[str, ...] = ()) -> "Scenario":
        """INVITE, 100, 180, 200 with these `checks`, ACK."""
        return self.invite(body, headers=headers).expect(100, optional=True).expect(180, optional=True).expect(
            200, *checks
        ).ack()  # fmt: skip

    def tear_down(self, *, cseq: int = 2) -> "Scenario":
        """BYE, 200."""
        return self.bye(cseq=cseq).expect(200)

    # -- XML

    def xml(self) -> str:
        """The file that sipp reads."""
        kept = ["rseq"] if any('assign_to="rseq"' in step for step in self._steps) else []
        names = ",".join([*(str(number + 1) for number in range(self._variables)), *kept])
        tail = f'<Reference variables="{names}"/>' if names else ""
        return (
            '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
            f"<scenario name={quoteattr(self.name)}>\n" + "\n".join(self._steps) + f"\n{tail}\n</scenario>\n"
        )

    def _actions(self, checks: tuple[Check, ...]) -> str:
        found = []
        for check in checks:
            self._variables += 1
            where = f'search_in="hdr" header="{check.header}:"' if check.header else 'search_in="msg"'
            verdict = "check_it_inverse" if check.absent else "check_it"
            found.append(
                f'<ereg regexp={quoteattr(check.pattern)} {where} {verdict}="true" assign_to="{self._variables}"/>'
            )
        return f"<action>{''.join(found)}</action>" if found else ""


@dataclass(frozen=True, slots=True)
class Played:
    """What a run of sipp left: the Call-IDs of its calls, and every message with its time in seconds."""

    call_ids: tuple[str, ...]
    messages: tuple[tuple[float, str, str], ...]
    """(seconds of the wall clock, "in" or "out", text)."""

    @property
    def call_id(self) -> str:
        """The Call-ID of the only call."""
        assert len(self.call_ids) == 1, self.call_ids
        return self.call_ids[0]

    @property
    def midnight(self) -> float:
        """What to add to these times for those of the system's clock; not across midnight."""
        now = time.time()
        today = time.localtime(now)
        return now - now % 1 - (today.tm_hour * 3600 + today.tm_min * 60 + today.tm_sec)

    def received(self, first_line: str) -> list[tuple[float, str]]:
        """What came whose first line begins like this, retransmissions too."""
        return [(at, text) for at, way, text in self.messages if way == "in" and text.startswith(first_line)]

    def sent(self, first_line: str) -> list[tuple[float, str]]:
        """What was sent whose first line begins like this."""
        return [(at, text) for at, way, text in self.messages if way == "out" and text.startswith(first_line)]


class Player:
    """A sipp at one address. `directory` keeps the XML, the messages and the errors of each run."""

    def __init__(self, directory: Path, gateway: tuple[str, int], source: str = "127.0.0.1") -> None:
        assert shutil.which("sipp"), f"sipp is missing: {APT}"
        self.directory = directory
        self.gateway = gateway
        self.source = source

    def play(
        self, scenario: Scenario, *, transport: str = "udp", calls: int = 1, rate: int = 10, limit: float = 30.0
    ) -> Played:
        """Run the flow to its end; fail with what sipp says if it went otherwise."""
        process, where = self.start(scenario, transport=transport, calls=calls, rate=rate, limit=limit)
        try:
            out, _ = process.communicate(timeout=limit + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
        return self.judge(process.returncode, out, where)

    def start(
        self,
        scenario: Scenario,
        *,
        transport: str = "udp",
        calls: int = 1,
        rate: int = 10,
        limit: float = 30.0,
        own_port: int | None = None,
    ) -> tuple["subprocess.Popen[bytes]", Path]:
        """Begin a run, at `own_port` if it is one that is called; `judge` tells how it went once it has ended."""
        where = self.directory / scenario.name
        number = 2
        while where.exists():
            where, number = self.directory / f"{scenario.name}-{number}", number + 1
        where.mkdir(parents=True)
        file = where / "scenario.xml"
        file.write_text(scenario.xml())
        host, port = self.gateway
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        source = f"[{self.source}]" if ":" in self.source else self.source
        command = [
            "sipp", target, "-sf", str(file), "-t", _TRANSPORTS[transport],
            # sipp would take 5060, and get what is still on its way to an earlier run.
            "-i", source, "-p", str(own_port or ports(1)), "-mi", source,
            "-m", str(calls), "-l", str(calls), "-r", str(rate), "-nostdin", "-skip_rlimit",
            "-default_behaviors", "none" if scenario.talks_over else "abortunexp",
            "-timeout", f"{limit:.0f}", "-timeout_error", "-recv_timeout", str(LIMIT_MS), "-deadcall_wait", "0",
            "-cid_str", f"%u-%p-{scenario.name}@%s",
            # sipp would sign `sip:HOST:PORT`, which is not the Request-URI.
            "-auth_uri", f"{scenario.to}@{target}",
            "-trace_msg", "-message_file", str(where / "messages.log"),
            "-trace_err", "-error_file", str(where / "errors.log"),
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if own_port is not None:
            # Who is called has to be there first.
            wait_until(
                lambda: process.poll() is not None or is_bound(own_port, transport), limit, "sipp does not start"
            )
        return process, where

    def judge(self, code: int, out: bytes, where: Path) -> Played:
        """What the run came to; fails unless every call went as written."""
        errors = where / "errors.log"
        said = errors.read_text(errors="replace") if errors.exists() else ""
        log = where / "messages.log"
        messages = tuple(read_messages(log.read_text(errors="replace"))) if log.exists() else ()
        flow = "\n".join(f"{at:.3f} {way} {text.splitlines()[0]}" for at, way, text in messages[-20:])
        why = (said or out.decode(errors="replace"))[:2500]
        assert code == 0, f"sipp ended with {code} on {where}/scenario.xml\n{why}\n{flow}"
        call_ids = dict.fromkeys(
            found[1] for _, _, text in messages if (found := re.search(r"^Call-ID: *(\S+)", text, re.M | re.I))
        )
        return Played(tuple(call_ids), messages)


_ENTRY = re.compile(r"^-{10,} (\d{4}-\d\d-\d\d)[ T\t](\d\d):(\d\d):(\d\d(?:\.\d+)?).*$", re.M)
_HEAD = re.compile(r"^(?:UDP|TCP) message (sent|received)[^\n]*$", re.M)


def read_messages(log: str) -> list[tuple[float, str, str]]:
    """The messages of sipp's `-trace_msg` file; times are seconds of the day."""
    found = []
    marks = list(_ENTRY.finditer(log))
    for mark, following in itertools.zip_longest(marks, marks[1:]):
        entry = log[mark.end() : following.start() if following else len(log)]
        head = _HEAD.search(entry)
        if head is None:
            continue
        at = int(mark[2]) * 3600 + int(mark[3]) * 60 + float(mark[4])
        found.append((at, "in" if head[1] == "received" else "out", entry[head.end() :].strip()))
    return found
