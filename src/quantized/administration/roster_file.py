"""A roster: a CSV of people as spreadsheets and learning platforms write it, read to rows or to everything
that is wrong with it."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from quantized.administration.faults import Unfit
from quantized.administration.words import unix_ms
from quantized.core.errors import InvalidRequest

LARGEST = 500_000
"""Characters of a file."""
MOST_PEOPLE = 2_000
"""Written in one transaction. On SQLite nobody else writes meanwhile, and requests wait for two seconds."""
_TOLD = 50
"""Mistakes that are listed; the others are counted."""

Column = Literal["id", "email", "name", "first name", "last name", "credits", "expires"]

_NAMES: Mapping[Column, tuple[str, ...]] = {
    "id": (
        "id", "userid", "user", "username", "login", "loginid", "personid", "studentid", "studentnumber",
        "idnumber", "uniqueid", "matriculationnumber", "matrikelnummer", "sisuserid",
    ),
    "email": ("email", "mail", "emailaddress", "mailaddress"),
    "name": ("name", "fullname", "displayname", "student"),
    "first name": ("firstname", "givenname", "vorname"),
    "last name": ("lastname", "surname", "familyname", "nachname"),
    "credits": ("credits", "credit", "allowance", "budget"),
    "expires": ("expires", "expiry", "expiresat", "expirydate", "validuntil", "until", "enddate"),
}  # fmt: skip
_COLUMNS: Mapping[str, Column] = {name: column for column, names in _NAMES.items() for name in names}

_PERSON = re.compile(r"[!-~]{1,128}")
_SHORTENED = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]+")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,200}")
_DECIMAL = re.compile(r"([0-9]{1,9})(?:([.,])([0-9]{1,6}))?")
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_GERMAN_DAY = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(rf"{_DAY.pattern}[T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}})?(Z|[+-][0-9]{{2}}:[0-9]{{2}})?")


class RosterRow(Struct, frozen=True):
    """One person of a file. `expires_at` in Unix milliseconds, None for never; what the file does not say is
    UNSET, or None."""

    line: int
    person: str
    name: str | None = None
    email: str | None = None
    micro_credits: int | None = None
    expires_at: int | UnsetType | None = UNSET


class RosterFile(Struct, frozen=True):
    """`ignored` are the columns that mean nothing here."""

    rows: tuple[RosterRow, ...]
    ignored: tuple[str, ...]


class Mistake(Struct, frozen=True):
    line: int
    column: str
    value: str
    why: str

    def __str__(self) -> str:
        place = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        return f"{place}: {_echo(self.value)} {self.why}" if self.value else f"{place}: {self.why}"


class RosterUnfit(InvalidRequest):
    """Everything that is wrong with a file, each with what would work."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        first = sorted(mistakes, key=lambda mistake: mistake.line)[:_TOLD]
        lines = [str(mistake) for mistake in first]
        if len(mistakes) > len(lines):
            lines.append(f"and {len(mistakes) - len(lines)} more")
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        told = "\n".join(f"  {line}" for line in lines)
        super().__init__(
            f"The roster has {count}, and nothing was changed:\n{told}", param="csv", code="roster_mistakes"
        )
        self.mistakes = tuple(mistakes)


def known_as(person: str) -> str:
    """The id of whoever is called so. Whoever types an address does not mind its case, and no mail server
    does."""
    return person.lower() if "@" in person else person


class _Unfit(Exception):
    """Why a cell cannot be meant."""


def read_roster(text: str) -> RosterFile:
    """Raises RosterUnfit with every mistake that can be told."""
    text = text.removeprefix("\ufeff")
    first_line = 1
    separator = ""
    if said := _SEPARATOR_LINE.match(text):
        separator, text, first_line = said[1], text[said.end() :], 2
    separator = separator or _separator(text)
    records = _records(text, separator, first_line)
    try:
        line, header = next(records)
    except StopIteration:
        raise RosterUnfit(
            [Mistake(1, "", "", "the file is empty; a first line has to name its columns")]
        ) from None
    columns, ignored = _columns(line, header)
    return RosterFile(_read_rows(records, columns, len(header), separator), ignored)


def _records(text: str, separator: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """Each record that says anything, with the line on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    before = first_line - 1
    while True:
        line = before + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = f"this is no CSV ({error}); quotation marks enclose a whole cell, and are doubled inside"
            raise RosterUnfit([Mistake(line, "", "", why)]) from error
        before = reader.line_num + first_line - 1
        cells = [cell.strip() for cell in record]
        if any(cells):
            yield line, cells


def _separator(text: str) -> str:
    """What the first line that says anything is cut by."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", first)
    return max(",;\t", key=bare.count)


def _columns(line: int, header: list[str]) -> tuple[dict[int, Column], tuple[str, ...]]:
    """Which column means what, by its place, and those that mean nothing."""
    columns: dict[int, Column] = {}
    ignored: list[str] = []
    mistakes: list[Mistake] = []
    for place, title in enumerate(header):
        name = _plain(title)
        column = _COLUMNS.get(name)
        if column is None:
            if close := get_close_matches(name, _COLUMNS, n=1, cutoff=0.84):
                mistakes.append(
                    Mistake(line, "", title, f"is no column; did you mean '{_COLUMNS[close[0]]}'?")
                )
            elif title:
                ignored.append(title)
        elif column in columns.values():
            other = header[next(at for at, known in columns.items() if known == column)]
            mistakes.append(Mistake(line, "", title, f"means the same as '{other}'; keep one of them"))
        else:
            columns[place] = column
    if not mistakes and not {"id", "email"} & set(columns.values()):
        why = "no column says who is meant; one has to be called 'id' or 'email'"
        mistakes.append(Mistake(line, "", "", f"{why} (here are: {', '.join(filter(None, header))[:200]})"))
    if mistakes:
        raise RosterUnfit(mistakes)
    return columns, tuple(ignored)


def _read_rows(
    records: Iterator[tuple[int, list[str]]], columns: Mapping[int, Column], width: int, separator: str
) -> tuple[RosterRow, ...]:
    rows: list[RosterRow] = []
    mistakes: list[Mistake] = []
    lines: dict[str, int] = {}
    for line, cells in records:
        if len(cells) != width and not (len(cells) > width and not any(cells[width:])):
            why = f"has {len(cells)} cells where the first line has {width}"
            mistakes.append(
                Mistake(
                    line, "", separator.join(cells), f"{why}; put a cell with a separator in it in quotes"
                )
            )
            continue
        row = _read_row(
            line, {column: cells[place] for place, column in columns.items()}, separator, mistakes
        )
        if row is None:
            continue
        if row.person in lines:
            why = f"is on line {lines[row.person]} already; a person is there once"
            mistakes.append(Mistake(line, "id", row.person, why))
        else:
            lines[row.person] = line
            rows.append(row)
        if len(rows) > MOST_PEOPLE:
            why = f"a roster has {MOST_PEOPLE} people at most; import the others as another one"
            raise RosterUnfit([*mistakes, Mistake(line, "", "", why)])
    if not rows and not mistakes:
        mistakes.append(
            Mistake(1, "", "", "the file names nobody; to end everybody's access, close the roster")
        )
    if mistakes:
        raise RosterUnfit(mistakes)
    return tuple(rows)


def _read_row(
    line: int, cells: Mapping[Column, str], separator: str, mistakes: list[Mistake]
) -> RosterRow | None:
    """None where a cell cannot be meant; all that cannot are noted."""
    wrong = len(mistakes)

    def judged(column: Column, read: object) -> object:
        value = cells.get(column, "")
        if not value:
            return None
        try:
            return read(value)  # type: ignore[operator]
        except _Unfit as unfit:
            mistakes.append(Mistake(line, column, value, str(unfit)))
            return None

    email = judged("email", _person)
    person = judged("id", _person) or email
    names = [judged(column, _printable) for column in ("name", "first name", "last name")]
    name = " ".join(str(part) for part in names if part)[:200]
    amount = judged("credits", lambda value: _credits(value, point_only=separator == ","))
    expires = judged("expires", _expiry)
    if person is None and len(mistakes) == wrong:
        mistakes.append(Mistake(line, "id", "", "nobody is named here"))
    if len(mistakes) > wrong:
        return None
    return RosterRow(
        line=line,
        person=str(person),
        name=name or None,
        email=None if email is None else str(email),
        micro_credits=amount if isinstance(amount, int) else None,
        expires_at=UNSET if expires is None else _known_expiry(expires),
    )


def _known_expiry(expires: object) -> int | None:
    return expires if isinstance(expires, int) else None


def _person(value: str) -> str:
    if not _PERSON.fullmatch(value):
        raise _Unfit("cannot name a person; write 1 to 128 letters, digits or signs of ASCII without spaces")
    if _SHORTENED.fullmatch(value):
        raise _Unfit(
            "is what a spreadsheet makes of a long number; format the column as text, and fill it in anew"
        )
    return known_as(value)


def _printable(value: str) -> str:
    if not _PRINTABLE.fullmatch(value):
        raise _Unfit("is no name; write 1 to 200 printable characters on one line")
    return value


def _credits(value: str, *, point_only: bool) -> int:
    """Micro-credits. A decimal comma counts where commas separate nothing."""
    found = _DECIMAL.fullmatch(value)
    if found is None:
        raise _Unfit("is no amount of credits; write a number above 0, such as 5 or 2.5")
    whole, mark, rest = found.groups(default="")
    if mark == "," and point_only:
        raise _Unfit("could be read in two ways; write 1500 or 1.5, without a comma")
    if mark and len(rest) == 3 and not point_only:
        raise _Unfit(f"could be read in two ways; write {whole}{rest} or {whole}{mark}{rest}0")
    amount = int(whole) * 1_000_000 + int(rest.ljust(6, "0"))
    if not 1 <= amount <= 10**15:
        raise _Unfit("is out of range; write a number above 0 and up to 1000000000")
    return amount


def _expiry(value: str) -> int | str:
    """Unix milliseconds, or "never"; a day counts whole (UTC)."""
    if value.casefold() == "never":
        return "never"
    if german := _GERMAN_DAY.fullmatch(value):
        value = f"{german[3]}-{int(german[2]):02}-{int(german[1]):02}"
    try:
        if _DAY.fullmatch(value):
            return unix_ms((datetime.fromisoformat(value) + timedelta(days=1)).isoformat(), "expires")
        if _TIME.fullmatch(value):
            return unix_ms(value, "expires")
    except (Unfit, ValueError, OverflowError) as error:
        raise _Unfit("is no day of the calendar") from error
    raise _Unfit("is no date; write 2026-01-31, 31.01.2026, 2026-01-31T18:00+01:00 or never")


def _plain(title: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", title).casefold() if c.isalnum())


def _echo(value: str) -> str:
    shown = value if len(value) <= 60 else f"{value[:60]}…"
    return "'" + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown) + "'"
