"""What to change when a transfer is refused: by the status, as carriers and phone systems mean it."""

_SWITCH = (
    "The carrier or phone system takes no transfers on this trunk. At Twilio switch on Call Transfer (SIP REFER) of "
    "the trunk, and PSTN transfer for numbers; at others ask for REFER."
)

_REFUSALS = {
    401: "The caller's side wants a password for REFER: set `username` and `password` of the [[trunk]], or have our "
    "address admitted there.",
    407: "The caller's side wants a password for REFER: set `username` and `password` of the [[trunk]], or have our "
    "address admitted there.",
    403: "The caller's side does not allow this transfer: switch on REFER for the trunk there, and for telephone "
    "numbers what it calls PSTN transfer.",
    404: "The caller's side does not know the target: compare how it wants numbers (see `transfer_domain` of the "
    "[[trunk]]).",
    405: "The caller's side does not know REFER.",
    408: "Something on the way to the caller's side swallows REFER, or it takes too long over it.",
    416: "The caller's side does not take this kind of URI: set `transfer_domain` of the [[trunk]] for numbers as "
    "SIP URIs.",
    420: "The caller's side misses an extension; show its answer to whoever runs it.",
    481: "The caller's side no longer knows the call.",
    484: "The number is incomplete for the caller's side: write it with + and the country's code.",
    501: "The caller's side does not know REFER.",
    603: _SWITCH,
}

_TARGETS = {
    403: "The caller's side may not call this target: for telephone numbers it may want PSTN transfer switched on, or "
    "the number written otherwise (see `transfer_domain` of the [[trunk]]).",
    404: "The target does not exist as the caller's side reads it: compare how it wants numbers (see "
    "`transfer_domain` of the [[trunk]]).",
    416: "The caller's side can't call this kind of URI.",
    484: "The number is incomplete for the caller's side: write it with + and the country's code.",
    488: "Caller and target have no codec in common.",
    503: "The caller's side could not reach the target: a limit of calls, or a line that is down.",
    603: "The target, or the caller's side, declines: switch on transfers (PSTN transfer for numbers) there if it is "
    "not the target itself.",
}


def hint_for_refusal(status: int, allows: frozenset[str] | None) -> str:
    """What to change when the REFER itself is refused. `allows` are the methods that the caller's side serves."""
    hint = _REFUSALS.get(status, "")
    if not hint and 300 <= status < 400:
        hint = "The caller's side names another place for the REFER; that is not followed."
    if allows is not None and "REFER" not in allows:
        hint = f"{hint} Its Allow header does not list REFER.".strip()
    return hint


def hint_for_target(status: int) -> str:
    """What to change when the target refuses, as the caller's side reports it."""
    return _TARGETS.get(status, "")
