"""What the media core tells of a call that changes nothing in it, and that whoever looks for a fault has to know."""

from offhook._media import MediaEvent


def media_note(event: MediaEvent) -> tuple[str, dict[str, int]]:
    """The line of the timeline for an event, and its figures; an event without words of its own is told by its kind."""
    match event.kind:
        case "first_packet":
            return f"first RTP from {_address(event)}", {}
        case "source_changed":
            return f"RTP now comes from {_address(event)}", {}
        case "unreachable":
            return f"our RTP to {_address(event)} came back as unreachable (ICMP)", {}
        case "unauthentic":
            said = "packets from the caller's address are not authentic (SRTP) and are dropped"
            return said, {} if event.packets is None else {"packets": event.packets}
        case "key_used_up":
            return "our SRTP key is used up: nothing is sent before a new one", {}
        case kind:
            return kind, {}


def _address(event: MediaEvent) -> str:
    return f"{event.address[0]} port {event.address[1]}" if event.address else "an unknown address"
