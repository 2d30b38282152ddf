"""What an import changes: the people who are on a roster, beside those of a file. Pure."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, UnsetType
from msgspec.structs import replace

from quantized.administration.roster_file import Mistake, RosterRow
from quantized.administration.roster_records import What
from quantized.storage.roster_rows import Person


class Defaults(Struct, frozen=True):
    """What counts for those who are new and of whom the file does not say it. The end also for those who come
    back after their own has passed."""

    micro_credits: int | None = None
    expires_at: int | None = None


class Change(Struct, frozen=True):
    """`line` is the file's, 0 for who is not in it. `before` is None for who never was on the roster."""

    what: What
    line: int
    before: Person | None
    after: Person


class Difference(Struct, frozen=True):
    """`kept` counts those who were known and have something else than is said for all."""

    changes: tuple[Change, ...]
    unchanged: int
    kept: int

    def of(self, what: What) -> list[Change]:
        return [change for change in self.changes if change.what == what]


def compare(
    roster_id: str, known: Mapping[str, Person], rows: Sequence[RosterRow], defaults: Defaults, now: int
) -> tuple[Difference, list[Mistake]]:
    """The difference, and what cannot be meant of it. Whoever is on the roster and not in the file is
    removed; nothing of them is forgotten."""
    changes: list[Change] = []
    mistakes: list[Mistake] = []
    unchanged = kept = 0
    for row in rows:
        before = known.get(row.person)
        after = _after(roster_id, before, row, defaults, now)
        kept += before is not None and _keeps(after, row, defaults)
        if before == after:
            unchanged += 1
            continue
        expiry = after.expires_at
        if expiry is not None and expiry <= now and (before is None or before.expires_at != expiry):
            why = "is in the past; leave the person out to end the access"
            mistakes.append(Mistake(row.line, "expires", "", f"the expiry of {row.person} {why}"))
        what: What = "added" if before is None else "changed" if before.active else "returned"
        changes.append(Change(what, row.line, before, after))
    named = {row.person for row in rows}
    changes += [
        Change("removed", 0, person, replace(person, active=False, updated_at=now))
        for person in known.values()
        if person.active and person.person not in named
    ]
    return Difference(tuple(changes), unchanged, kept), mistakes


def _after(roster_id: str, before: Person | None, row: RosterRow, defaults: Defaults, now: int) -> Person:
    if before is None:
        return Person(
            roster_id=roster_id,
            person=row.person,
            name=row.name or row.person,
            email=row.email,
            license_id="",
            micro_credits=row.micro_credits or defaults.micro_credits,
            expires_at=defaults.expires_at if isinstance(row.expires_at, UnsetType) else row.expires_at,
            active=True,
            created_at=now,
            updated_at=now,
        )
    after = replace(
        before,
        name=row.name or before.name,
        email=row.email or before.email,
        micro_credits=row.micro_credits or before.micro_credits,
        expires_at=_end(before, row, defaults, now),
        active=True,
    )
    return before if after == before else replace(after, updated_at=now)


def _keeps(after: Person, row: RosterRow, defaults: Defaults) -> bool:
    """Whether somebody has something else than is said for all of whom the file says nothing."""
    credits_ = row.micro_credits is None and defaults.micro_credits not in {None, after.micro_credits}
    end = isinstance(row.expires_at, UnsetType) and defaults.expires_at not in {None, after.expires_at}
    return credits_ or end


def _end(before: Person, row: RosterRow, defaults: Defaults, now: int) -> int | None:
    """When the access of somebody known ends."""
    if not isinstance(row.expires_at, UnsetType):
        return row.expires_at
    passed = before.expires_at is not None and before.expires_at <= now
    if passed and not before.active and defaults.expires_at is not None:
        return defaults.expires_at
    return before.expires_at
