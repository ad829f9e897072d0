"""What the files of certificates have to say to a configuration: whether they can be used, and for how long."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from offhook.config.problems import Finding
from offhook.config.schema import AgentConfig, Config
from offhook.config.values import ip_version

if TYPE_CHECKING:
    from offhook.transport.tls_files import TlsContexts, TlsProblem


def findings(config: Config) -> tuple[list[Finding], list[Finding]]:
    """Errors and warnings of every file that TLS is made of, SIP's and the agents'. It reads these files."""
    errors: list[Finding] = []
    warnings: list[Finding] = []
    _sip(config, errors, warnings)
    for index, agent in enumerate(config.agents):
        if agent.tls_ca is not None:
            errors += _trusted(("agent", index, "tls_ca"), agent)
    return errors, warnings


def _sip(config: Config, errors: list[Finding], warnings: list[Finding]) -> None:
    settings = config.tls
    if settings is None:
        return
    from offhook.transport.certificate import now_utc
    from offhook.transport.tls_files import TlsFileError, load
    from offhook.transport.tls_files import warnings as warnings_of

    try:
        contexts = load(settings)
        found = list(warnings_of(settings, contexts, now_utc()))
    except TlsFileError as error:
        errors.append(_finding(config, error.problem))
        return
    warnings += [_finding(config, problem) for problem in found]
    warnings += _unproven_names(config, contexts)


def _finding(config: Config, problem: "TlsProblem") -> Finding:
    index = next((index for index, trunk in enumerate(config.trunks) if trunk.name == problem.trunk), None)
    where = ("sip", problem.setting) if index is None else ("trunk", index, problem.setting)
    return Finding(where, problem.message, problem.hint)


def _unproven_names(config: Config, contexts: "TlsContexts") -> Iterator[Finding]:
    """Listeners that peers are told under a name which our certificate does not prove."""
    own = contexts.own
    for index, listen in enumerate(config.sip.listen):
        told = config.advertised(listen) if listen.transport == "tls" else None
        if own is None or told is None or ip_version(told.host) is not None or own.names.proves(told.host):
            continue
        where = ("sip", "listen", index) if listen.advertise is not None else ("sip", "advertise")
        message = f"peers are told '{told.host}', but sip.tls_certificate is for {own.names}"
        yield Finding(where, message, "peers that check names refuse us")


def _trusted(where: tuple[str | int, ...], agent: AgentConfig) -> Iterator[Finding]:
    from offhook.transport.certificate import read_chain

    path = Path(agent.tls_ca or "")
    try:
        read_chain(path.read_bytes())
    except OSError as error:
        yield Finding(where, f"{path} can't be read: {error.strerror}")
    except ValueError as error:
        yield Finding(where, f"{path} can't be used: {error}", "PEM with -----BEGIN CERTIFICATE----- is wanted")
