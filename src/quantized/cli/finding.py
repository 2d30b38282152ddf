"""What a command that reads the database itself is told to look at."""

from typing import TypeVar

from quantized.storage.desk import TO_READ, Desk, Kind

F = TypeVar("F")


def find(url: str, kind: Kind[F], reference: str) -> F:
    """By its id, its alias, or how its id begins. Raises NotFound, Ambiguous and DatabaseUnusable."""
    with Desk(url).reading() as session:
        return session.find(kind, reference, None, TO_READ)
