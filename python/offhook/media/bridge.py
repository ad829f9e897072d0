"""Two RTP legs that hear each other."""

from offhook import _media


class Bridge:
    """Made by `MediaPlane.bridge`; lasts until `close()`, or until a leg is closed or joined with something else."""

    def __init__(self, native: _media.Bridge) -> None:
        self.native = native

    def close(self) -> None:
        """Part the legs, unless that has happened in another way. Both stay open. May be repeated."""
        self.native.close()
