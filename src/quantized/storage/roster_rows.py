"""Rosters, the people on them, and the links by which they get their keys, as rows.

Every method works inside its caller's transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from quantized.storage import schema
from quantized.storage.directory_faults import AlreadyExists
from quantized.storage.directory_rows import Key, License
from quantized.storage.many import Values, insert_many, update_many

_AT_ONCE = 500
"""Ids in one statement: every database's bound of variables is above it."""

_WORKING = "api_key.active AND api_key.kind = 'key'"
_REPLACED = "EXISTS (SELECT 1 FROM api_key AS n WHERE n.rotated_from = api_key.id)"


class Roster(Struct, frozen=True):
    """People who come and go together. Each has a licence of the type `license_type_id`, or all share
    `license_id`, each with an allowance: one of the two is None. `alias` is unique within the institution."""

    id: str
    institution_id: str
    alias: str
    license_type_id: str | None
    license_id: str | None
    created_at: int
    updated_at: int


class Person(Struct, frozen=True):
    """Somebody who is, or was (not `active`), on a roster. `license_id` is where their calls are charged.
    `micro_credits` is what the roster gave: to the licence, or as the allowance; None is what their licence's
    type says. `expires_at` is when their keys stop."""

    roster_id: str
    person: str
    name: str
    email: str | None
    license_id: str
    micro_credits: int | None
    expires_at: int | None
    active: bool
    created_at: int
    updated_at: int


class ClaimLink(Struct, frozen=True):
    """A link that shows its person a new key, once. `claimed_at` and `key_id` when it did; `withdrawn_at`
    where another took its place, or the person was removed."""

    id: str
    roster_id: str
    person: str
    created_at: int
    expires_at: int
    claimed_at: int | None = None
    withdrawn_at: int | None = None
    key_id: str | None = None


class Standing(Struct, frozen=True):
    """Which people of a roster have a key that works, and until when the others' open links work."""

    keys: frozenset[str]
    links: Mapping[str, int]


rosters = select(*(schema.roster.c[name] for name in Roster.__struct_fields__))
_people = select(*(schema.roster_person.c[name] for name in Person.__struct_fields__))
_links = select(*(schema.claim_link.c[name] for name in ClaimLink.__struct_fields__))


def read_roster(row: Row[Any]) -> Roster:
    return Roster(**row._mapping)


class RosterRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: Roster) -> None:
        self._connection.execute(insert(schema.roster).values(**asdict(row)))

    def called(self, alias: str, institution_id: str | None) -> list[Roster]:
        """By exactly this alias; one at most where the institution is said."""
        table = schema.roster.c
        statement = rosters.where(table.alias == alias).order_by(table.id)
        if institution_id is not None:
            statement = statement.where(table.institution_id == institution_id)
        return [read_roster(row) for row in self._connection.execute(statement)]

    def touch(self, roster_id: str, now: int) -> None:
        table = schema.roster
        self._connection.execute(update(table).where(table.c.id == roster_id).values(updated_at=now))

    # People

    def people(self, roster_id: str) -> dict[str, Person]:
        statement = _people.where(schema.roster_person.c.roster_id == roster_id)
        return {row.person: Person(*row) for row in self._connection.execute(statement)}

    def page(self, roster_id: str, active: bool | None, after: str | None, limit: int) -> list[Person]:
        """In the order of their ids, those after the last one seen."""
        table = schema.roster_person.c
        statement = _people.where(table.roster_id == roster_id).order_by(table.person).limit(limit)
        if active is not None:
            statement = statement.where(table.active == active)
        if after is not None:
            statement = statement.where(table.person > after)
        return [Person(*row) for row in self._connection.execute(statement)]

    def person(self, roster_id: str, person: str) -> Person | None:
        table = schema.roster_person.c
        row = self._connection.execute(
            _people.where(table.roster_id == roster_id, table.person == person)
        ).first()
        return None if row is None else Person(*row)

    def count(self, roster_id: str) -> tuple[int, int]:
        """(people on the roster, people who were)."""
        table = schema.roster_person.c
        statement = (
            select(table.active, func.count()).where(table.roster_id == roster_id).group_by(table.active)
        )
        found = {bool(active): int(number) for active, number in self._connection.execute(statement)}
        return found.get(True, 0), found.get(False, 0)

    def add_people(self, people: Sequence[Person]) -> None:
        insert_many(self._connection, schema.roster_person, [asdict(person) for person in people])

    def set_people(self, people: Sequence[Person]) -> None:
        changing = (
            "roster_id",
            "person",
            "name",
            "email",
            "micro_credits",
            "expires_at",
            "active",
            "updated_at",
        )
        values = [{name: getattr(person, name) for name in changing} for person in people]
        update_many(self._connection, schema.roster_person, ("roster_id", "person"), values)

    def elsewhere(self, roster_id: str, license_id: str) -> dict[str, str]:
        """Who is on another roster of the licence, with that roster's alias."""
        roster, person = schema.roster.c, schema.roster_person.c
        statement = (
            select(person.person, roster.alias)
            .join(schema.roster, roster.id == person.roster_id)
            .where(roster.license_id == license_id, roster.id != roster_id, person.active)
        )
        return {row.person: row.alias for row in self._connection.execute(statement)}

    # Their licences

    def taken(self, license_type_id: str, unique_ids: Collection[str]) -> set[str]:
        """Those of the unique ids that a licence of the type has."""
        table = schema.license.c
        found: set[str] = set()
        for some in _groups(unique_ids):
            statement = select(table.unique_id).where(
                table.license_type_id == license_type_id, table.unique_id.in_(some)
            )
            found.update(self._connection.execute(statement).scalars())
        return found

    def add_licenses(self, licenses: Sequence[License]) -> None:
        """Raises AlreadyExists where a signed token has just made one of them."""
        values = [asdict(row) for row in licenses]
        for each in values:
            del each["institution_id"]
        try:
            insert_many(self._connection, schema.license, values)
        except IntegrityError as error:
            raise AlreadyExists("there is already a licence of one of these people; import again") from error

    def name_licenses(self, names: Mapping[str, str]) -> None:
        """By their ids. Whoever calls has locked the rows."""
        values = [{"id": id_, "name": name} for id_, name in names.items()]
        update_many(self._connection, schema.license, ("id",), values)

    def allow_licenses(self, ids: Collection[str], *, active: bool) -> None:
        """Whoever calls has locked the rows."""
        table = schema.license
        for some in _groups(ids):
            self._connection.execute(update(table).where(table.c.id.in_(some)).values(active=active))

    def set_caps(self, license_id: str, caps: Mapping[str, int | None]) -> None:
        """Users' own allowances within a licence, whose row the caller has locked."""
        table = schema.user_allowance
        known: set[str] = set()
        for some in _groups(caps):
            statement = select(table.c.user_id).where(
                table.c.license_id == license_id, table.c.user_id.in_(some)
            )
            known.update(self._connection.execute(statement).scalars())
        new = [
            {"license_id": license_id, "user_id": user, "cap": cap, "used": 0, "held": 0}
            for user, cap in caps.items()
            if user not in known
        ]
        insert_many(self._connection, table, new)
        old = [
            {"license_id": license_id, "user_id": user, "cap": cap}
            for user, cap in caps.items()
            if user in known
        ]
        update_many(self._connection, table, ("license_id", "user_id"), old)

    # Their keys

    def add_keys(self, keys: Sequence[tuple[Key, bytes]]) -> None:
        """With their digests."""
        values = [{**asdict(key), "digest": digest} for key, digest in keys]
        insert_many(self._connection, schema.api_key, values)

    def stop_all_keys(self, license_id: str) -> None:
        """Whoever they are of. Signed tokens stay as they are."""
        table = schema.api_key
        self._connection.execute(
            update(table)
            .where(table.c.license_id == license_id, table.c.active, table.c.kind == "key")
            .values(active=False)
        )

    def stop_keys(self, people: Sequence[Person]) -> None:
        """Their own within their licences. Signed tokens stay as they are."""
        values: list[Values] = [
            {"license_id": each.license_id, "user_id": each.person, "active": False} for each in people
        ]
        update_many(self._connection, schema.api_key, ("license_id", "user_id"), values, where=_WORKING)

    def set_expiries(self, people: Sequence[tuple[Person, int | None]]) -> None:
        """Of the keys that ended with their people, who come with the ends that they had before: a key that
        was given another end keeps it, and so does one in whose place another has come, unless it would
        outlast its person now. Signed tokens say when they end."""
        by = ("license_id", "user_id")
        ends: dict[int | None, list[Values]] = {}
        for person, before in people:
            whose = {"license_id": person.license_id, "user_id": person.person}
            ends.setdefault(before, []).append({**whose, "expires_at": person.expires_at})
        for before, values in ends.items():
            same = "IS NULL" if before is None else f"= {before:d}"
            theirs = f"{_WORKING} AND api_key.expires_at {same} AND NOT {_REPLACED}"
            update_many(self._connection, schema.api_key, by, values, where=theirs)
        later = f"{_WORKING} AND api_key.expires_at > row.expires_at AND {_REPLACED}"
        every = [value for values in ends.values() for value in values]
        update_many(self._connection, schema.api_key, by, every, where=later)

    def standing(self, roster_id: str, now: int) -> Standing:
        person, key, link = schema.roster_person.c, schema.api_key.c, schema.claim_link.c
        working = (
            select(person.person)
            .join(schema.api_key, and_(key.license_id == person.license_id, key.user_id == person.person))
            .where(
                person.roster_id == roster_id,
                key.active,
                key.kind == "key",
                or_(key.expires_at.is_(None), key.expires_at > now),
            )
            .distinct()
        )
        open_ = select(link.person, link.expires_at).where(
            link.roster_id == roster_id,
            link.claimed_at.is_(None),
            link.withdrawn_at.is_(None),
            link.expires_at > now,
        )
        return Standing(
            frozenset(self._connection.execute(working).scalars()),
            {row.person: row.expires_at for row in self._connection.execute(open_)},
        )

    # Links

    def add_links(self, links: Sequence[tuple[ClaimLink, bytes]]) -> None:
        """With the digests of their secrets."""
        values = [{**asdict(link), "digest": digest} for link, digest in links]
        insert_many(self._connection, schema.claim_link, values)

    def withdraw_links(self, roster_id: str, people: Collection[str], now: int) -> None:
        table = schema.claim_link
        for some in _groups(people):
            self._connection.execute(
                update(table)
                .where(
                    table.c.roster_id == roster_id,
                    table.c.person.in_(some),
                    table.c.claimed_at.is_(None),
                    table.c.withdrawn_at.is_(None),
                )
                .values(withdrawn_at=now)
            )

    def link_by_digest(self, digest: bytes) -> ClaimLink | None:
        row = self._connection.execute(_links.where(schema.claim_link.c.digest == digest)).first()
        return None if row is None else ClaimLink(*row)

    def claim(self, link_id: str, key_id: str, now: int) -> None:
        table = schema.claim_link
        self._connection.execute(
            update(table).where(table.c.id == link_id).values(claimed_at=now, key_id=key_id)
        )


def _groups(ids: Collection[str]) -> list[list[str]]:
    listed = sorted(ids)
    return [listed[start : start + _AT_ONCE] for start in range(0, len(listed), _AT_ONCE)]
