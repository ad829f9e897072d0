"""`offhook phones`: which phones have registered with the gateway of this machine."""

from typing import Annotated

import typer

from offhook.cli.gateway_file import ConfigFile


def phones(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON, all times in UTC milliseconds.")] = False,
    config: ConfigFile = None,
) -> None:
    """List the phones that may register with the gateway, and where those are that have.

    It asks the running gateway, with the key that this has left in its data directory. Exit code 1 if there is none.
    """
    from offhook.cli.trunk_states import print_phones

    print_phones(config, as_json=as_json)
