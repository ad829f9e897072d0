"""Typed header fields, one a file. A parsed value is written back as it came, a built one in canonical form."""

from offhook.sip.headers.auth import AuthValue
from offhook.sip.headers.cseq import CSeq
from offhook.sip.headers.diversion import Diversion
from offhook.sip.headers.history_info import HistoryInfo
from offhook.sip.headers.media_type import MediaType
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.headers.privacy import Privacy
from offhook.sip.headers.rack import RAck
from offhook.sip.headers.reason import Reason
from offhook.sip.headers.replaces import Replaces
from offhook.sip.headers.session_id import SessionId
from offhook.sip.headers.user_to_user import UserToUser
from offhook.sip.headers.via import Via
from offhook.sip.headers.warning import Warning

__all__ = [
    "AuthValue",
    "CSeq",
    "Diversion",
    "HistoryInfo",
    "MediaType",
    "NameAddr",
    "Privacy",
    "RAck",
    "Reason",
    "Replaces",
    "SessionId",
    "UserToUser",
    "Via",
    "Warning",
]
