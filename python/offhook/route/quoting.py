"""Text of strangers inside of our sentences: on one line, harmless to a terminal, of bounded length."""

MAX_QUOTED = 80


def printable(text: str, limit: int | None = MAX_QUOTED) -> str:
    """Escape what would break a line or steer a terminal, bytes that are no UTF-8 too; cut to `limit` characters."""
    cut = text if limit is None or len(text) <= limit else text[:limit] + "…"
    return cut if cut.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
