"""What the database driver's faults mean to whoever is not the database's."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError

from quantized.storage.database import DatabaseUnusable


@contextmanager
def database_errors() -> Iterator[None]:
    """Raises DatabaseUnusable where the database did not answer: it is locked, full, read-only or gone."""
    try:
        yield
    except OperationalError as error:
        raise DatabaseUnusable(f"the database did not answer: {error.orig}") from error
