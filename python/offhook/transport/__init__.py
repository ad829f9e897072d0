"""The wire: the only place with SIP sockets. Bytes in, effects out, one timer; all protocol is in offhook.sip."""
