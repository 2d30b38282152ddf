"""What the database driver's faults mean to whoever is not the database's."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError

from quantized.storage.database import DatabaseUnusable


@contextmanager
def database_errors() -> Iterator[None]:
    """Raises DatabaseUnusable where the database did not answer: it is locked, full, read-only or gone, or it
    has not our tables. What breaks a rule of the tables stays an IntegrityError."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise DatabaseUnusable(f"the database did not answer: {error.orig}") from error
