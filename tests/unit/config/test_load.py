from pathlib import Path

import pytest

from offhook.config.load import LOOPBACK, PRIVATE, default_file, examine, examine_text, load
from offhook.config.routing import build_routing, inbound_passwords
from offhook.errors import ConfigError
from offhook.route.destination_uri import EchoUri
from offhook.route.table import CallFacts, Forward
from offhook.route.trunk import Known, Stranger

pytestmark = pytest.mark.unit


def test_without_a_file_this_machine_alone_reaches_the_welcome() -> None:
    config = load(None, {}, host_name="laptop")
    routing = build_routing(config)
    assert config.node.name == "laptop"
    assert [listen.uri for listen in config.sip.listen] == ["udp://0.0.0.0:5060", "tcp://0.0.0.0:5060"]
    assert str(config.http.listen) == "127.0.0.1:8080"
    assert str(config.media.ports) == "40000-41999"
    identity = routing.trunks.identify("127.0.0.1", "udp", "127.0.0.1")
    assert isinstance(identity, Known)
    decision = routing.routes.decide(CallFacts.read(identity.trunk, to_user="100", from_user="me"))
    assert isinstance(decision, Forward)
    assert decision.destination == EchoUri("welcome")
    for stranger in ("192.168.1.7", "203.0.113.7", "2001:db8::1"):
        assert isinstance(routing.trunks.identify(stranger, "udp", "x"), Stranger)


def test_lan_admits_private_networks_and_no_others() -> None:
    trunks = build_routing(load(None, {}, lan=True)).trunks
    for neighbour in ("127.0.0.1", "::1", "10.9.8.7", "172.31.0.1", "192.168.1.7", "fe80::1%eth0", "::ffff:10.0.0.1"):
        assert trunks.admits_source(neighbour)
    for stranger in ("203.0.113.7", "172.32.0.1", "2001:db8::1", "::ffff:203.0.113.7", "nonsense"):
        assert not trunks.admits_source(stranger)
    assert len(load(None, {}, lan=True).trunks[0].allow) == len(LOOPBACK) + len(PRIVATE)


def test_a_telephone_on_this_machine_may_call_from_its_other_addresses() -> None:
    trunks = build_routing(load(None, {}, machine=("192.0.2.2", "fe80::1%eth0"))).trunks
    for own in ("127.0.0.1", "192.0.2.2", "::ffff:192.0.2.2"):
        assert trunks.admits_source(own)
    assert not trunks.admits_source("192.0.2.3")


def test_lan_with_trunks_of_ones_own_is_a_contradiction() -> None:
    text = '[[trunk]]\nname = "a"\nallow = ["10.0.0.0/8"]\n'
    found = examine_text(text, {}, file="f", base=Path("/"), lan=True)
    assert "--lan" in str(found.errors[0])


def test_load_raises_every_problem_at_once(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text('[node]\nnmae = "x"\n[limits]\nmax_calls = "many"\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert [(problem.path, problem.line) for problem in caught.value.problems] == [
        ("node.nmae", 2),
        ("limits.max_calls", 4),
    ]
    assert str(file) in str(caught.value)
    assert caught.value.hint == "did you mean 'name'?"


def test_paths_start_at_the_directory_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text('[node]\ndata_dir = "here"\n')
    config = load(file, {})
    assert config.data_dir == tmp_path / "here"
    assert config.store_url == f"sqlite:///{tmp_path}/here/offhook.db"
    assert config.source == file


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@db/x", "sqlite://", "sqlite:///:memory:", "sqlite:///a?mode=ro", "x"]
)
def test_a_store_that_is_no_file_is_refused_without_its_password(url: str) -> None:
    found = examine_text(f'[store]\nurl = "{url}"\n', {}, file="f", base=Path("/"))
    assert [problem.path for problem in found.errors] == ["store.url"]
    assert "secret" not in str(found.errors[0])


_LONG = "u" * 30
_LINES = {
    "agent": '[[agent]]\nname = "x"\nkind = "offhook"\nurl = "{}"\n',
    "route": '[[trunk]]\nname = "a"\nallow = ["192.0.2.1"]\n[[route]]\ndestination = "{}"\n',
    "fallback": '[[trunk]]\nname = "a"\nallow = ["192.0.2.1"]\n[[route]]\ndestination = "echo:"\nfallback = "{}"\n',
    "origin": '[talk]\norigins = ["{}"]\n',
    "api": '[[agent]]\nname = "x"\nkind = "retell"\napi_key = "k"\nagent_id = "a"\napi_url = "{}"\n',
}


@pytest.mark.parametrize("where", _LINES)
@pytest.mark.parametrize(
    "url",
    [
        "ftp://user:hunter2secret@host/path",
        "ftp://hunter2secret@host",
        "wss://user:hunter2secret@host/path",
        f"ftp://{_LONG}:hunter2secret{_LONG}@host/path",
        "ftp://host/path?a=b&access_token=hunter2secret",
        "ftp://host/path?api_key=hunter2secret",
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(where: str, url: str) -> None:
    found = examine_text(_LINES[where].format(url), {}, file="f", base=Path("/"))
    assert found.errors
    assert "hunter2secret" not in "\n".join(map(str, (*found.errors, *found.warnings)))


@pytest.mark.parametrize("url", ["ftp://host:8080/path", "ftp://host/path?agent=7", "ftp://[2001:db8::1]:80"])
def test_a_url_without_secrets_is_said_whole(url: str) -> None:
    found = examine_text(_LINES["agent"].format(url), {}, file="f", base=Path("/"))
    assert f"'{url}'" in str(found.errors[0])


def test_an_absolute_store_stays_where_it_is() -> None:
    found = examine_text('[store]\nurl = "sqlite:////var/lib/offhook/calls.db"\n', {}, file="f", base=Path("/srv"))
    assert found.config is not None
    assert found.config.store_url == "sqlite:////var/lib/offhook/calls.db"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "is not UTF-8"),
        (b"a = 1\n\nb = \xe9\n", ":3: is not UTF-8"),
        (b"x = " + b"[" * 5000, "f: "),
        (b"#" * 5_000_000, "is larger than"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (b"a = 1\nb = \x00", ":2: is not TOML"),
    ],
)
def test_what_is_no_text_is_one_plain_line(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "f"
    file.write_bytes(content)
    found = examine(file, {})
    assert len(found.errors) == 1
    assert said in str(found.errors[0])
    assert "\n" not in str(found.errors[0])


def test_a_file_from_windows_is_read_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_bytes(b'\xef\xbb\xbf[node]\r\nname = "a"\r\nnope = 1\r\n')
    assert [problem.line for problem in examine(file, {}).errors] == [3]


def test_no_such_file_and_a_directory(tmp_path: Path) -> None:
    missing, directory = examine(tmp_path / "none", {}), examine(tmp_path, {})
    assert missing.unreadable
    assert directory.unreadable
    assert str(missing.errors[0]).endswith("there is no such file")
    assert "can't be read" in str(directory.errors[0])


def test_secrets_in_a_file_that_others_read_are_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(
        '[[trunk]]\nname = "a"\ninbound = { username = "u", password = "p" }\n'
        '[[route]]\nname = "r"\ndestination = "echo:"\n'
    )
    file.chmod(0o644)
    config = load(file, {})
    assert "chmod 600" in config.warnings[0]
    file.chmod(0o600)
    assert load(file, {}).warnings == ()
    file.write_text(file.read_text().replace('"p"', '{ env = "P" }'))
    file.chmod(0o644)
    assert load(file, {"P": "p"}).warnings == ()


def test_the_inbound_password_is_for_its_own_user_and_trunk() -> None:
    text = '[[trunk]]\nname = "a"\ninbound = { username = "u", password = { env = "P" } }\n'
    config = examine_text(text, {"P": "pass word"}, file="f", base=Path("/")).config
    assert config is not None
    assert inbound_passwords(config, "a") == {"u": "pass word"}
    assert inbound_passwords(config, "b") == {}
    assert "pass word" not in repr(config)


def test_what_peers_are_told() -> None:
    text = """[sip]
    listen = ["udp://0.0.0.0:5060", "tcp://[::]:5070", { uri = "tcp://0.0.0.0:5061", advertise = "sip.example.net" }]
    advertise = "203.0.113.7"
    """
    config = examine_text(text, {}, file="f", base=Path("/")).config
    assert config is not None
    assert [str(config.advertised(listen)) for listen in config.sip.listen] == [
        "203.0.113.7:5060", "None", "sip.example.net:5061",
    ]  # fmt: skip
    assert config.advertised_media(4) == "203.0.113.7"
    assert config.advertised_media(6) is None


@pytest.mark.parametrize(
    ("sip", "media", "told"),
    [
        ('advertise = "sip.example.net:15060"', "", None),
        ('advertise = "203.0.113.7:15060"', "", "203.0.113.7"),
        ('advertise = "203.0.113.7"', 'advertise = "203.0.113.8"', "203.0.113.8"),
        ('advertise = "203.0.113.7"', 'listen = ["::", "0.0.0.0"]\nadvertise = ["2001:db8::7"]', None),
        ("", 'listen = ["::", "0.0.0.0"]\nadvertise = ["2001:db8::7", "203.0.113.8"]', "203.0.113.8"),
        ("", "", None),
    ],
)
def test_the_media_address_that_peers_are_told(sip: str, media: str, told: str | None) -> None:
    config = examine_text(f"[sip]\n{sip}\n[media]\n{media}\n", {}, file="f", base=Path("/")).config
    assert config is not None
    assert config.advertised_media(4) == told


def test_the_default_file(tmp_path: Path) -> None:
    assert default_file({}, tmp_path) is None
    (tmp_path / "offhook.toml").write_text("")
    assert default_file({}, tmp_path) == tmp_path / "offhook.toml"
    assert default_file({"OFFHOOK_CONFIG": "/etc/offhook.toml"}, tmp_path) == Path("/etc/offhook.toml")


def test_many_entries_are_read_in_reasonable_steps() -> None:
    text = '[[trunk]]\nname = "acme"\nallow = ["198.51.100.0/24"]\n'
    text += "".join(f'[[route]]\nname = "r{n}"\nto = "+1415555{n:04}"\ndestination = "echo:"\n' for n in range(2000))
    config = examine_text(text, {}, file="f", base=Path("/")).config
    assert config is not None
    assert len(config.routes) == 2000


@pytest.mark.parametrize(
    ("trunk", "warned"),
    [('srtp = "off"', False), ('srtp = "optional"', True), ('srtp = "required"', True)]
    + [(f'srtp = "{policy}"\ntls = "required"', False) for policy in ("optional", "required")],
)
def test_keys_over_signalling_that_may_be_plain_are_warned_of(trunk: str, warned: bool) -> None:
    trunk = f'[[trunk]]\nname = "acme"\nallow = ["192.0.2.1"]\n{trunk}\n'
    found = examine_text(f'{trunk}[[route]]\nname = "all"\ndestination = "echo:"\n', {}, file="f", base=Path())
    assert any("who reads that can decrypt" in str(warning) for warning in found.warnings) is warned


@pytest.mark.parametrize(
    ("trunk", "hints"),
    [
        ('host = "192.0.2.9"\ntransport = "tls"', []),
        ('host = "192.0.2.9"\ntls = "required"', []),
        ('host = "192.0.2.9"\ntls_name = "acme.example"', []),
        ('host = "192.0.2.9"', ["transport"]),
        ('host = "192.0.2.9"\ntransport = "auto"', ["transport"]),
        ('host = "192.0.2.9"\ntransport = "tls"\nallow = ["192.0.2.9"]', ["tls"]),
        ('host = "192.0.2.9"\nallow = ["192.0.2.9"]', ["tls", "transport"]),
    ],
)
def test_of_keys_in_the_clear_each_way_is_warned_of_that_is_open(trunk: str, hints: list[str]) -> None:
    text = f'[[trunk]]\nname = "acme"\nsrtp = "required"\ncaller_id = "+14155550100"\ndial_to = "+1415*"\n{trunk}\n'
    found = examine_text(f'{text}[[route]]\nname = "all"\ndestination = "echo:"\n', {}, file="f", base=Path())
    warned = [warning for warning in found.warnings if "who reads that can decrypt" in str(warning)]
    assert [(warning.hint or "").split()[0] for warning in warned] == hints
