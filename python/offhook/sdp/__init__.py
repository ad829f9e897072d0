"""Session descriptions (RFC 8866) and offer/answer (RFC 3264), pure."""
