"""Typed header fields, one a file. A parsed value is written back as it came, a built one in canonical form."""

from offhook.sip.headers.auth import AuthValue
from offhook.sip.headers.cseq import CSeq
from offhook.sip.headers.media_type import MediaType
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.headers.rack import RAck
from offhook.sip.headers.reason import Reason
from offhook.sip.headers.replaces import Replaces
from offhook.sip.headers.via import Via
from offhook.sip.headers.warning import Warning

__all__ = ["AuthValue", "CSeq", "MediaType", "NameAddr", "RAck", "Reason", "Replaces", "Via", "Warning"]
