"""The file that holds what people are given: nobody else can read it, and nobody can be shown it again."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from msgspec import Struct

from quantized.administration.roster_records import Handed
from quantized.administration.tables import csv_cell


class Unwritten(Struct, frozen=True):
    """What went wrong when a file was written, and how many people's lines are whole in it."""

    why: str
    whole: int


class HandedFile:
    """An open file, or none where `descriptor` is None."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def write(self, handed: Sequence[Handed], *, with_keys: bool) -> Unwritten | None:
        """All of it, or what is wrong: whoever acts has acted by then, and has to be told of it."""
        if self._descriptor is None or not handed:
            return None
        data = _table(handed, "api_key" if with_keys else "link")
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fsync(self._descriptor)
        except OSError as error:
            lines = data[:written].count(b"\n")
            return Unwritten(error.strerror or str(error), max(0, lines - 1))
        return None


@contextmanager
def handed_file(path: Path | None) -> Iterator[HandedFile]:
    """A new file that only its owner may read, there before anything is done whose outcome it is to hold.
    Gone again where nothing was. Raises ClickException."""
    if path is None:
        yield HandedFile(None)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise click.ClickException(f"{path} is there already; name a new file") from error
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error
    try:
        yield HandedFile(descriptor)
    finally:
        empty = os.fstat(descriptor).st_size == 0
        os.close(descriptor)
        if empty:
            path.unlink(missing_ok=True)


def _table(handed: Sequence[Handed], secret: str) -> bytes:
    """As spreadsheets read it whatever separates their cells: with a mark of its encoding, all cells in
    quotes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(("person", "name", "email", secret))
    for each in handed:
        writer.writerow(
            [csv_cell(cell) for cell in (each.person, each.name, each.email, getattr(each, secret))]
        )
    return text.getvalue().encode("utf-8-sig")
