"""What the log says of new certificate files."""

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    # Its library takes a tenth of a second to load; a gateway without TLS goes without.
    from offhook.transport.tls_keeper import Reload

_log = structlog.get_logger("offhook")


def tell_reload(reload: "Reload") -> None:
    """Say what became of new certificate files, loudly where they were broken."""
    if reload.problem is not None:
        problem = reload.problem
        kept = str(reload.certificate.names) if reload.certificate is not None else None
        _log.error("tls.reload_failed", setting=problem.path, why=problem.message, hint=problem.hint, kept=kept)
        return
    own = reload.certificate
    _log.info(
        "tls.reloaded",
        certificate=str(own.names) if own is not None else None,
        expires=own.not_after.isoformat() if own is not None else None,
    )
    for warning in reload.warnings:
        _log.warning("tls.certificate", why=str(warning))
