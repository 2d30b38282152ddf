"""What administers: a database here, or the API of a gateway elsewhere."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from msgspec import Struct

from quantized.administration.actor import Actor
from quantized.administration.roster_records import ClaimedKey
from quantized.administration.verbs import Verb

R = TypeVar("R")


class Repeat(Struct, frozen=True):
    """What a caller names a request by, so that it is done once however often it is said. `replayed` is told
    when it had been."""

    key: str
    replayed: Callable[[], None] = lambda: None


class Administering(Protocol):
    """Blocking; any number of threads at a time."""

    def do(self, actor: Actor, verb: Verb[R], repeat: Repeat | None = None) -> R:
        """What the verb is answered with. With `repeat`, an act that was done in the last day is answered as
        it was then, without its secret.

        Raises Forbidden, NotThere, Ambiguous, Conflict, InvalidRequest, IdempotencyMismatch, and
        LedgerUnavailable when the database does not answer. Nothing was done then.
        """

    def actor(self, secret: str, origin: str, request_id: str | None) -> Actor:
        """Whose admin key this is. Raises InvalidAdminKey, always with the same message, and
        LedgerUnavailable."""

    def close(self) -> None: ...


class Claiming(Protocol):
    """Where one-time links are used. Blocking; any number of threads at a time."""

    def claim(self, secret: str, origin: str, request_id: str | None) -> ClaimedKey:
        """The key that the link stands for, which works from now on and is shown this once.

        Raises NotThere, Conflict (`code` "used", "expired", "withdrawn", or "ended" and "stopped" where a key
        would not work), and LedgerUnavailable when the database does not answer; the link is as it was then.
        """

    def close(self) -> None: ...
