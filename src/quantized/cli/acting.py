"""An administrative act, said on the command line by whoever can open the database."""

import getpass
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from msgspec.structs import replace

from quantized.administration.actor import Actor, command_line
from quantized.administration.administration import Administration, Say
from quantized.administration.verbs import Listing, Verb
from quantized.cli.records import database_url
from quantized.cli.shell import Shell

R = TypeVar("R")


def act(shell: Shell, verb: Verb[R], *, signs: str | None = None) -> R:
    """What the verb is answered with. `signs` is what the ledger calls whoever does it, where that is not the
    account at the machine. Raises as `database_url` and `Administration.do` do."""
    return Administration(database_url(shell), shell.clock).do(typing(signs), verb)


@contextmanager
def together(shell: Shell, url: str | None = None) -> Iterator[Say]:
    """Several verbs as one, as in `Administration.together`."""
    with Administration(url or database_url(shell), shell.clock).together(typing()) as say:
        yield say


def typing(signs: str | None = None) -> Actor:
    """Whoever types."""
    return command_line(_user(), platform.node() or "localhost", signs)


def every(shell: Shell, listing: Listing[R]) -> list[R]:
    """All pages of a listing. Raises as `act` does."""
    found: list[R] = []
    while True:
        page = act(shell, listing)
        found += page.data
        if page.next_cursor is None:
            return found
        listing = replace(listing, cursor=page.next_cursor)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have them
        return "unknown"
