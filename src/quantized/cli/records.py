"""Commands that work on the database: where it is, and what its faults are to the person who typed.

Imports no database library: `serve` passes here, and the gateway does without it.
"""

from typing import Any

import click

from quantized.administration.faults import NotThere
from quantized.cli.shell import Shell
from quantized.core.errors import Fault, InsufficientCredits, LedgerUnavailable
from quantized.ledger.verbs import LedgerMisuse
from quantized.storage.database import DatabaseUnusable, database
from quantized.storage.directory_faults import DirectoryFault, NotFound
from quantized.storage.migrate import is_current

_LISTED_BY = {
    "institution": "quantized institution list",
    "licence type": "quantized license-type list",
    "licence": "quantized license list",
    "key": "quantized key list",
    "public key": "quantized institution key list",
    "admin key": "quantized admin-key list",
    "roster": "quantized roster list",
}


class DatabaseCommand(click.Command):
    """A command whose failures are told in a line, with what to do, and end it with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (NotFound, NotThere) as error:
            told = f"there is no {error.what} {error.reference!r}"
            listed = _LISTED_BY.get(error.what)
            raise click.ClickException(f"{told}; see: {listed}" if listed else told) from error
        except (DirectoryFault, DatabaseUnusable, LedgerMisuse) as error:
            raise click.ClickException(str(error)) from error
        except InsufficientCredits as error:
            raise click.ClickException(f"the licence has not that much left: {error.cause}") from error
        except LedgerUnavailable as error:
            raise click.ClickException(f"the database did not answer, try again: {error.cause}") from error
        except Fault as error:
            said = error.message.removesuffix(".")
            raise click.ClickException(said[:1].lower() + said[1:]) from error


class DatabaseGroup(click.Group):
    command_class = DatabaseCommand


def database_url(shell: Shell) -> str:
    """The URL of a database that is there and has this version's schema.

    Raises ClickException, saying how to get one, or that a gateway is to do it, and DatabaseUnusable.
    """
    if shell.url is not None:
        raise click.ClickException(
            f"this works on the database itself, not by the API of {shell.url}; leave out --url and "
            "QUANTIZED_ADMIN_URL"
        )
    url = shell.settings().database_url
    place = database(url)
    # Looking into a file that is not there would create it.
    if not place.exists():
        raise click.ClickException(f"there is no database at {place.name}; make one with: quantized init")
    if not is_current(url):
        raise click.ClickException(f"the database at {place.name} has another schema; run: quantized migrate")
    return url
