"""A roster's difference, written: licences and their credits, or allowances; keys and links that end."""

from collections.abc import Mapping
from typing import Literal
from uuid import uuid4

from msgspec.structs import replace

from quantized.administration.acting import Acting
from quantized.administration.faults import Conflict
from quantized.administration.roster_diff import Change, Difference
from quantized.administration.roster_file import Mistake
from quantized.core.errors import InsufficientCredits
from quantized.core.ids import mint_id
from quantized.ledger.rules import Book
from quantized.ledger.verbs import Adjustment, LedgerMisuse
from quantized.storage.desk import LICENSE, LICENSE_TYPE
from quantized.storage.directory_rows import License, LicenseType
from quantized.storage.records import LicenseRow, Needs, Rows
from quantized.storage.roster_rows import Person, Roster


class Applying:
    """One import's way into the database. Locks the licences of all who are known, in the order in which
    everybody locks them."""

    def __init__(self, acting: Acting, roster: Roster, known: Mapping[str, Person]) -> None:
        self._acting = acting
        self._roster = roster
        self._known = known
        ids = {person.license_id for person in known.values()}
        self._type: LicenseType | None = None
        if roster.license_type_id is not None:
            self._type = acting.find(LICENSE_TYPE, roster.license_type_id)
        self._shared: License | None = None
        if roster.license_id is not None:
            self._shared = acting.find(LICENSE, roster.license_id)
            ids.add(roster.license_id)
        self._accounts: Mapping[str, LicenseRow] = self._locked(ids).licenses

    def mistakes(self, difference: Difference) -> list[Mistake]:
        """What a single row or all of them ask for and cannot have."""
        if self._type is None:
            return self._twice(difference)
        found: list[Mistake] = []
        added = difference.of("added")
        taken = self._acting.session.rosters.taken(
            self._type.id, [self._unique_id(change.after.person) for change in added]
        )
        for change in added:
            if self._unique_id(change.after.person) in taken:
                why = (
                    f"would have the licence {self._unique_id(change.after.person)}, which is there and not "
                    "the roster's; take another name for the roster"
                )
                found.append(Mistake(change.line, "id", change.after.person, why))
        without = [change for change in added if self._beginning(change.after) is None]
        if without and not self._type.unlimited:
            why = (
                "has no credits in the file, and the licence type says none; add a column 'credits', or say "
                "an amount for all"
            )
            found.append(Mistake(without[0].line, "", without[0].after.person, why))
        for change in difference.changes:
            found += self._short(change)
        return found

    def apply(self, difference: Difference) -> Difference:
        """Writes it all. What it was in the end: with everybody's licence."""
        if self._type is None:
            return self._apply_allowances(difference)
        return self._apply_licenses(difference, self._type)

    # A licence for each

    def _apply_licenses(self, difference: Difference, type_: LicenseType) -> Difference:
        rows = self._acting.session.rosters
        licenses: list[License] = []
        changes: list[Change] = []
        for change in difference.changes:
            if change.what != "added":
                changes.append(change)
                continue
            license_ = self._license(change.after, type_)
            licenses.append(license_)
            given = self._beginning(change.after)
            after = replace(change.after, license_id=license_.id, micro_credits=given)
            changes.append(_becoming(change, after))
        rows.add_licenses(licenses)
        self._write_people(changes)
        rows.name_licenses(
            {
                change.after.license_id: change.after.name
                for change in changes
                if change.before and change.before.name != change.after.name
            }
        )
        # Only whose place on the roster changes: what was stopped by hand stays so.
        for what, active in (("returned", True), ("removed", False)):
            ids = [change.after.license_id for change in changes if change.what == what]
            rows.allow_licenses(ids, active=active)
        self._book(changes, {row.id: _unused(row) for row in licenses})
        return replace(difference, changes=tuple(changes))

    def _license(self, person: Person, type_: LicenseType) -> License:
        return License(
            id=str(uuid4()),
            institution_id=type_.institution_id,
            license_type_id=type_.id,
            unique_id=self._unique_id(person.person),
            name=person.name,
            unlimited=self._beginning(person) is None,
            active=True,
            created_at=self._acting.now,
            granted=0,
            used=0,
            held=0,
        )

    def _book(self, changes: list[Change], new: Mapping[str, LicenseRow]) -> None:
        """What the roster gives and takes, licence by licence. `new` are those that nobody else sees yet."""
        bookings = [booking for change in changes if (booking := self._booking(change)) is not None]
        if not bookings:
            return
        known = {booking.license_id for booking in bookings} - new.keys()
        accounts = self._locked(known)
        book = Book(replace(accounts, licenses={**accounts.licenses, **new}), self._acting.now)
        for booking in bookings:
            try:
                book.adjust(booking)
            except InsufficientCredits as short:
                # Only where somebody spent it since the file was judged.
                raise Conflict(
                    f"The licence {booking.license_id} has not that much left: {short.cause}.",
                    param="csv",
                    code="insufficient_credits",
                ) from short
            except LedgerMisuse as misuse:
                raise Conflict(f"{misuse}.", param="csv", code="booking_refused") from misuse
        self._acting.session.write_ledger(book.changes)

    def _booking(self, change: Change) -> Adjustment | None:
        difference = _more(change)
        if difference == 0:
            return None
        account = change.after.license_id
        kind: Literal["grant", "adjustment"] = "grant" if difference > 0 else "adjustment"
        entry_id = f"grant-first-{account}" if change.before is None else mint_id(kind, self._acting.now)
        actor = self._acting.actor.signs or self._acting.actor.id
        reason = f"roster {self._roster.alias}"
        return Adjustment(entry_id, account, kind, difference, reason, actor)

    def _short(self, change: Change) -> list[Mistake]:
        """Where credits are to be taken that are used or held, or given where there is no balance."""
        difference = _more(change)
        if change.before is None or difference == 0:
            return []
        account = self._accounts[change.after.license_id]
        amount = _credits(change.after.micro_credits or 0)
        if account.unlimited:
            why = f"would be {amount}, but this person's licence is unlimited; leave the cell empty"
            return [Mistake(change.line, "credits", change.after.person, why)]
        free = account.granted - account.used - account.held
        if difference + free >= 0:
            return []
        least = _credits((change.after.micro_credits or 0) - difference - free)
        why = f"cannot go down to {amount}: the least that covers what was used is {least}"
        return [Mistake(change.line, "credits", change.after.person, why)]

    def _beginning(self, person: Person) -> int | None:
        """What a new person's licence begins with; None where that is no limit, or nobody said."""
        if person.micro_credits is not None or self._type is None:
            return person.micro_credits
        return self._type.default_credits

    def _unique_id(self, person: str) -> str:
        return f"{self._roster.alias}:{person}"

    # An allowance for each

    def _twice(self, difference: Difference) -> list[Mistake]:
        """Who would be on two rosters of the licence: each would take from them what the other gives."""
        elsewhere = self._acting.session.rosters.elsewhere(self._roster.id, self._roster.license_id or "")
        return [
            Mistake(
                change.line,
                "id",
                change.after.person,
                f"is on the roster {elsewhere[change.after.person]} of the same licence; leave the person "
                "out here or there",
            )
            for change in (*difference.of("added"), *difference.of("returned"))
            if change.after.person in elsewhere
        ]

    def _apply_allowances(self, difference: Difference) -> Difference:
        shared = self._roster.license_id or ""
        changes = [
            _becoming(change, replace(change.after, license_id=shared)) for change in difference.changes
        ]
        self._write_people(changes)
        rows = self._acting.session.rosters
        # Where no number is said, what was set by hand stays.
        rows.set_caps(
            shared,
            {
                change.after.person: change.after.micro_credits
                for change in changes
                if change.after.micro_credits != (change.before.micro_credits if change.before else None)
            },
        )
        rows.stop_keys([change.after for change in changes if change.what == "removed"])
        return replace(difference, changes=tuple(changes))

    # Both

    def _write_people(self, changes: list[Change]) -> None:
        rows = self._acting.session.rosters
        rows.add_people([change.after for change in changes if change.before is None])
        rows.set_people([change.after for change in changes if change.before is not None])
        removed = [change.after.person for change in changes if change.what == "removed"]
        rows.withdraw_links(self._roster.id, removed, self._acting.now)
        rows.set_expiries(
            [
                (change.after, change.before.expires_at)
                for change in changes
                if change.before and change.before.expires_at != change.after.expires_at
            ]
        )

    def _locked(self, license_ids: set[str]) -> Rows:
        return self._acting.session.ledger_rows(Needs(license_ids=sorted(license_ids)))


def _becoming(change: Change, after: Person) -> Change:
    return Change(change.what, change.line, change.before, after)


def _unused(license_: License) -> LicenseRow:
    """As it is before anything was booked."""
    return LicenseRow(
        license_.id, license_.unlimited, license_.active, granted=0, used=0, held=0, entries=0, head=""
    )


def _more(change: Change) -> int:
    """How much more the roster gives than it did."""
    after = change.after.micro_credits
    before = change.before.micro_credits if change.before else None
    return 0 if after is None else after - (before or 0)


def _credits(micro_credits: int) -> str:
    whole, rest = divmod(micro_credits, 1_000_000)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")
