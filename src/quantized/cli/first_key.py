"""The one key that is kept in clear: the first, so that a newcomer can be shown it again.

It lies in a file that only the file's owner may read: beside the database, or below `var` where the database
is a server's.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class FirstKeyFile:
    """An open and locked file. `read` and `write` are whole."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def read(self) -> str | None:
        """None where nothing is kept."""
        self._file.seek(0)
        return self._file.read().strip() or None

    def write(self, key: str) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(f"{key}\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def first_key_path(belongings: Path) -> Path:
    """`belongings` as `storage.database.Database` has it."""
    return belongings.with_name(f"{belongings.name}.first-key")


@contextmanager
def first_key_file(path: Path) -> Iterator[FirstKeyFile]:
    """The file, made if need be, for nobody else to read and for one process at a time to work with.

    Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+", encoding="ascii", errors="replace") as file:
        os.fchmod(descriptor, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield FirstKeyFile(file)
