"""Hosted agent platforms that are called by SIP: what each wants in an INVITE, and what it says beside SIP. Pure."""
