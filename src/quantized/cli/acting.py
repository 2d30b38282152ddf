"""An administrative act, said on the command line: to the database by whoever can open it, or to the API of
a gateway by whoever has an admin key."""

import getpass
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import click
from msgspec.structs import replace

from quantized.administration.actor import Actor, command_line
from quantized.administration.administration import Administration
from quantized.administration.port import Administering
from quantized.administration.verbs import Listing, Verb
from quantized.cli.records import database_url
from quantized.cli.remote import RemoteAdministration
from quantized.cli.shell import Shell

R = TypeVar("R")

_HERE_AT_ONCE = 1_000
_MOST_AT_ONCE = 200
"""Rows of a page: of the database, and as many as an API gives."""

ADMIN_KEY = "QUANTIZED_ADMIN_KEY"


class Saying(Protocol):
    def __call__(self, verb: Verb[R]) -> R: ...


def act(shell: Shell, verb: Verb[R], *, signs: str | None = None) -> R:
    """What the verb is answered with. `signs` is what the ledger calls whoever does it, where that is not the
    account at the machine. Raises as `database_url` and `Administering.do` do."""
    if signs is not None and shell.url is not None:
        raise click.UsageError("The gateway knows who acts by the admin key; --actor is for the database.")
    return administering(shell).do(typing(signs), verb)


def administering(shell: Shell) -> Administering:
    """What does what is said. Raises as `database_url` does."""
    if shell.url is None:
        url = database_url(shell)
        return Administration(url, shell.clock, public_url=shell.settings().site)
    remote = RemoteAdministration(shell.url, shell.environ.get(ADMIN_KEY, ""))
    if remote.in_clear:
        click.echo(f"Warning: {shell.url} is not encrypted; the admin key can be read on its way.", err=True)
    return remote


@contextmanager
def together(shell: Shell, url: str | None = None) -> Iterator[Saying]:
    """Several verbs as one, as in `Administration.together`. An API is told one after the other."""
    if shell.url is not None:
        remote = administering(shell)
        yield lambda verb: remote.do(typing(), verb)
        return
    with Administration(url or database_url(shell), shell.clock).together(typing()) as say:
        yield say


def typing(signs: str | None = None) -> Actor:
    """Whoever types."""
    return command_line(_user(), platform.node() or "localhost", signs)


def every(shell: Shell, listing: Listing[R]) -> list[R]:
    """All pages of a listing. Raises as `act` does."""
    return list(one_by_one(shell, listing))


def one_by_one(shell: Shell, listing: Listing[R]) -> Iterator[R]:
    """The same, page by page as it is read: years of requests need no memory."""
    listing = replace(listing, limit=_HERE_AT_ONCE if shell.url is None else _MOST_AT_ONCE)
    desk = administering(shell)
    while True:
        page = desk.do(typing(), listing)
        yield from page.data
        if page.next_cursor is None:
            return
        listing = replace(listing, cursor=page.next_cursor)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have them
        return "unknown"
