#!/usr/bin/env python3
"""Writes every page that is made from code: `make docs`. `tests/unit/test_reference.py` fails while one is not current.

What it is made from: commands from their functions; settings, end reasons, metrics and the states of a call from their
own tables; the RFC support from the `@pytest.mark.rfc` marks of the tests, so that no page says more than a test does.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tools")]

import agent_sdk  # noqa: E402
import command_line  # noqa: E402

from offhook.call import end_reason, state  # noqa: E402  the tree before what is installed
from offhook.config import reference as config  # noqa: E402
from offhook.observe import metrics  # noqa: E402

TITLES = {
    2617: "HTTP digest authentication (as SIP knew it first)",
    3261: "SIP: Session Initiation Protocol",
    3263: "Locating SIP servers",
    3264: "Offer/answer with SDP",
    3311: "The UPDATE method",
    3326: "The Reason header",
    3389: "Comfort noise in RTP",
    3550: "RTP and RTCP",
    3551: "RTP profile for audio: payload types",
    3581: "Symmetric response routing (rport)",
    3605: "RTCP port in SDP",
    3711: "SRTP",
    3891: "The Replaces header",
    4320: "Non-INVITE transactions that nobody answers",
    4475: "SIP torture tests",
    4568: "Keys of encrypted media in SDP (SDES)",
    4733: "Telephone events in RTP",
    5057: "Several usages of one dialog",
    5626: "Keep-alive of client connections",
    5630: "The sips URI scheme",
    5761: "RTP and RTCP on one port",
    5922: "Domain certificates in SIP",
    5923: "Connection reuse in SIP",
    6026: "Correct handling of 2xx to INVITE",
    6086: "SIP INFO",
    6141: "Re-INVITE and target refresh",
    6188: "SRTP with AES-256",
    6455: "WebSocket",
    7616: "HTTP digest authentication",
    7714: "SRTP with AES-GCM",
    8643: "Opportunistic SRTP: keys on RTP/AVP",
    8760: "SIP digest with SHA-256 and SHA-512-256",
    8866: "SDP",
}

IN_RUST = (
    (3550, "RTP headers, sequence and jitter arithmetic, sender and receiver reports", "rtp.rs, rtcp.rs, order.rs"),
    (3551, "PCMU and PCMA (ITU-T G.711)", "codec/g711.rs"),
    (3711, "SRTP and SRTCP: AES in counter mode, HMAC-SHA1, rollovers, replay", "srtp.rs, srtp/"),
    (4733, "telephone events received and sent, one digit for three end packets", "telephone_event.rs"),
    (6188, "SRTP with AES-256 in counter mode", "srtp/counter_mode.rs"),
    (6455, "WebSocket as a client: framing, masking, fragments, close codes", "wire/websocket.rs"),
    (7714, "SRTP with AES-GCM", "srtp/gcm.rs"),
)
"""Kept by the media core, whose tests stand beside the code: RFC, what, files under rust/media/src."""

LEFT_OUT = (
    ("3261 section 10", "registrar", "nothing registers here; trunks are admitted by address or password"),
    ("3261 section 16", "proxy", "a gateway ends calls on both sides, it relays none"),
    (
        "5922 section 4, 5924",
        "extended key usage id-kp-sipDomain",
        "neither asked for nor minded; clientAuth and serverAuth are",
    ),
    ("3261 section 18.1.1", "multicast", "no trunk sends to a group"),
    ("3261 section 23", "S/MIME", "no carrier uses it"),
    ("3262", "reliable provisional responses (100rel)", "not built yet; `Require: 100rel` gets 420"),
    ("3515, 3891", "transfer by REFER", "not built yet; 405. Replaces is read, and nothing follows it"),
    ("3325, 3323", "asserted identity and privacy", "not built yet: headers reach the agent as the trunk's claims"),
    ("3711 section 4.3", "a key derivation rate, and master key identifiers", "no peer of a gateway uses them"),
    ("5763, 5764", "keys of SRTP by DTLS", "not built yet; such an offer gets 488"),
    ("3840, 3841", "caller preferences", "nothing here depends on them"),
    ("4028", "session timers", "not built yet: they are read past, `max_duration` and `media_timeout` end a dead call"),
    ("8843, 8445", "BUNDLE, ICE", "answered without them, as the RFCs allow; trunks have fixed addresses"),
    (
        "5393",
        "loop detection by a hash in the branch",
        "Max-Forwards (483), and 482 where an INVITE of ours comes back",
    ),
    ("6086", "INFO packages", "bodies of `application/dtmf` and `dtmf-relay` are taken, all others get 415"),
    ("7118", "SIP over WebSocket", "not built yet; a `ws://` listener is refused by name"),
)
"""What the RFCs have and this does not, or not as they say, with the reason."""


@dataclass(frozen=True, order=True)
class Mark:
    """One test that says which paragraph it checks."""

    rfc: int
    section: str
    file: str
    test: str


def marks(tests: Path) -> Iterator[Mark]:
    """Every `pytest.mark.rfc(number, "section")` below `tests`; one of the module counts for each of its tests."""
    for file in sorted(tests.rglob("test_*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        where = file.relative_to(tests).as_posix()
        of_module = [
            mark
            for node in tree.body
            if isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
            for mark in _marks_in(node.value)
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                own = [mark for decorator in node.decorator_list for mark in _marks_in(decorator)]
                for rfc, section in own + of_module:
                    yield Mark(rfc, section, where, node.name)


def _marks_in(node: ast.expr) -> list[tuple[int, str]]:
    return [
        (call.args[0].value, str(call.args[1].value) if len(call.args) > 1 else "")
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "rfc"
        and isinstance(call.args[0], ast.Constant)
        and all(isinstance(argument, ast.Constant) for argument in call.args)
    ]  # type: ignore[misc]


def rfc_support() -> str:
    """docs/reference/rfc-support.md."""
    found: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for mark in marks(ROOT / "tests"):
        found[mark.rfc][mark.section].add(mark.file)
    lines = [
        "# RFC support",
        "",
        "What is kept, and the tests that say so: each row is a section that at least one test names by",
        '`@pytest.mark.rfc(number, "section")`. What is left out stands at the end, with the reason.',
        "",
        "This page is written by `make docs`.",
        "",
    ]
    for rfc in sorted(found):
        lines += [f"## RFC {rfc}: {TITLES[rfc]}", "", "| section | tests |", "|---|---|"]
        for section in sorted(found[rfc], key=_section_order):
            files = found[rfc][section]
            where = ", ".join(f"[{Path(file).name}](../../tests/{file})" for file in sorted(files))
            lines.append(f"| {section or 'as a whole'} | {where} |")
        lines.append("")
    lines += [
        "## In the media core",
        "",
        "These tests are in Rust and stand beside the code.",
        "",
        "| RFC | what | where |",
        "|---|---|---|",
    ]
    for rfc, what, files in IN_RUST:
        links = ", ".join(f"[{name}](../../rust/media/src/{name})" for name in files.split(", "))
        lines.append(f"| {rfc} {TITLES[rfc]} | {what} | {links} |")
    lines += ["", "## Left out", "", "| RFC | what | why, and what happens instead |", "|---|---|---|"]
    lines += [f"| {rfc} | {what} | {why} |" for rfc, what, why in LEFT_OUT]
    return "\n".join(lines) + "\n"


def _section_order(section: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (10**6, part) for part in section.split(".")]


COUNTERS = (
    (
        "MediaStats", "A call: `media` in its record",
        "Of the caller's line; `offhook calls show ID --json` prints them. Where sound is bad, look here first.",
    ),
    (
        "WireStats", "Its agent: `wire` in the record",
        "Of the last agent's WebSocket; empty where none was reached.",
    ),
    (
        "EngineStats", "The engine: `offhook_media_engine` in `/metrics`",
        "The label `counter` has the name. All of one process together; what counts calls and ports is the number now.",
    ),
)  # fmt: skip
"""Classes of the stub, in which Rust's counters are described, and where an operator finds them."""


def media_counters() -> str:
    """docs/reference/media-counters.md."""
    stub = ast.parse((ROOT / "python" / "offhook" / "_media.pyi").read_text(encoding="utf-8"))
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    lines = [
        "# Media counters",
        "",
        "What the media core counts. Names that end in `_us` are microseconds, in `_ms` milliseconds.",
        "",
        "This page is written by `make docs`.",
        "",
    ]
    for name, title, words in COUNTERS:
        lines += [f"## {title}", "", words, "", "| counter | what it says |", "|---|---|"]
        for node in classes[name].body:
            if isinstance(node, ast.FunctionDef) and ast.unparse(node.returns or ast.Constant(None)) == "int":
                said = " ".join((ast.get_docstring(node) or "").split())
                assert said, f"{name}.{node.name} has no description"
                lines.append(f"| `{node.name}` | {said.replace('|', '/')} |")
        lines.append("")
    return "\n".join(lines)


def architecture() -> str:
    """ARCHITECTURE.md with the picture of a call's states as its table has it."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    before, begin, rest = text.partition("<!-- call-states -->\n```\n")
    _, end, after = rest.partition("\n```\n")
    assert begin, "the marker of the picture is gone"
    assert end, "the picture has no end"
    return before + begin + state.picture() + end + after


PAGES: dict[str, Callable[[], str]] = {
    "ARCHITECTURE.md": architecture,
    "docs/reference/agent-sdk.md": agent_sdk.page,
    "docs/reference/cli.md": command_line.page,
    "docs/reference/config.md": config.reference,
    "docs/reference/end-reasons.md": end_reason.page,
    "docs/reference/media-counters.md": media_counters,
    "docs/reference/metrics.md": metrics.page,
    "docs/reference/rfc-support.md": rfc_support,
}


def stale() -> list[str]:
    """Pages that are not what they are made from."""
    return [name for name, text in PAGES.items() if _read(ROOT / name) != text()]


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8") if page.exists() else ""


def main() -> None:
    """Write what is not current, and say so."""
    for name in stale():
        (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"written: {name}")


if __name__ == "__main__":
    main()
