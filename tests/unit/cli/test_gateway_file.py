"""Commands look where the gateway keeps its data, whatever else its file holds."""

from pathlib import Path

import pytest

from offhook.cli.gateway_file import GatewayFile
from offhook.config.load import load
from offhook.errors import OffhookError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[node]\ndata_dir = "here"\n',
        '[node]\ndata_dir = "/abs"\n',
        '[store]\nurl = "sqlite:///x/y.db"\n',
        '[store]\nurl = "sqlite:////abs/y.db"\n',
    ],
)
def test_data_are_looked_for_where_the_gateway_keeps_them(tmp_path: Path, text: str) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text(text)
    config = load(file, {})
    for read in (
        GatewayFile.read(file, {}, tmp_path),
        GatewayFile.read(None, {}, tmp_path),
        GatewayFile.read(None, {"OFFHOOK_CONFIG": str(file)}, Path("/")),
    ):
        assert (read.store_url, read.data_dir) == (config.store_url, config.data_dir)


def test_without_a_file_and_with_a_broken_one(tmp_path: Path) -> None:
    assert GatewayFile.read(None, {}, tmp_path).store_url == f"sqlite:///{tmp_path}/data/offhook.db"
    for content in (None, "not = [toml"):
        file = tmp_path / "broken.toml"
        if content is not None:
            file.write_text(content)
        with pytest.raises(OffhookError) as caught:
            GatewayFile.read(file, {}, tmp_path, hint="do this")
        assert (caught.value.code, caught.value.hint) == ("config_unreadable", "do this")


def test_a_setting_of_another_kind_is_none(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text('node = 7\n[store]\nurl = ""\n')
    read = GatewayFile.read(file, {}, tmp_path)
    assert read.text("node", "data_dir") is None
    assert read.text("store", "url") is None
