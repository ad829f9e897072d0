"""The settings by their names: the contract between the file, the command line and the programs that read it.

Each section of the file is a frozen model in a module of its own; field descriptions are the reference
(docs/reference/config.md is made from them). What one value alone can tell is checked here and in `values.py`, what
takes two is checked in `rules.py`.
"""

from offhook.config.schema.agent import AgentConfig
from offhook.config.schema.base import Section
from offhook.config.schema.config import Config
from offhook.config.schema.http import HttpConfig, TalkConfig
from offhook.config.schema.key import KeyConfig
from offhook.config.schema.media import MediaConfig, media_listen
from offhook.config.schema.node import LimitsConfig, NodeConfig, StoreConfig
from offhook.config.schema.outbound import OutboundConfig
from offhook.config.schema.recording import RecordingConfig
from offhook.config.schema.route import FallbackConfig, RouteConfig
from offhook.config.schema.sip import SipConfig
from offhook.config.schema.trunk import InboundConfig, PhoneConfig, TrunkConfig

SECTIONS: dict[str, type[Section]] = {
    "node": NodeConfig,
    "sip": SipConfig,
    "media": MediaConfig,
    "http": HttpConfig,
    "talk": TalkConfig,
    "store": StoreConfig,
    "recording": RecordingConfig,
    "limits": LimitsConfig,
}
"""Tables that appear once, by name."""

LISTS: dict[str, type[Section]] = {"trunk": TrunkConfig, "route": RouteConfig, "agent": AgentConfig, "key": KeyConfig}
"""Tables that appear any number of times, written `[[trunk]]`."""

__all__ = [
    "LISTS",
    "SECTIONS",
    "AgentConfig",
    "Config",
    "FallbackConfig",
    "HttpConfig",
    "InboundConfig",
    "KeyConfig",
    "LimitsConfig",
    "MediaConfig",
    "NodeConfig",
    "OutboundConfig",
    "PhoneConfig",
    "RecordingConfig",
    "RouteConfig",
    "Section",
    "SipConfig",
    "StoreConfig",
    "TalkConfig",
    "TrunkConfig",
    "media_listen",
]
