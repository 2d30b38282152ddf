"""The administrators' side of the database: what one act reads and writes, in one transaction.

Everything is found within a `scope`: an institution's id, or None for all of them. What is another
institution's is not there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, delete, func, insert, select, tuple_

from quantized.core.usage import Grouping
from quantized.storage import allowance_rows, credit_rows, schema
from quantized.storage import directory_rows as rows
from quantized.storage.allowance_rows import Allowance
from quantized.storage.desk_rows import (
    AdminKey,
    AuditRow,
    RevokedToken,
    StoredAnswer,
    admin_keys,
    audit_entries,
    read_admin_key,
    read_audit,
    revoked_tokens,
)
from quantized.storage.directory_faults import Ambiguous, NotFound
from quantized.storage.directory_rows import Institution, Key, License, LicenseType, PublicKey
from quantized.storage.engine import open_engine, reading
from quantized.storage.faults import database_errors
from quantized.storage.records import Changes, EntryRow, Needs, Rows
from quantized.storage.reports import (
    UsageEntry,
    UsageFilter,
    UsageTotal,
    read_entries,
    read_totals,
)
from quantized.storage.roster_rows import Roster, RosterRows, read_roster, rosters

F = TypeVar("F")

TO_READ = 4
"""Characters of an id that are enough to say which, to whoever reads."""

_MOST_CANDIDATES = 5
_ANSWER_SECONDS = 15.0
_ANSWER_MS = 24 * 3_600_000


class Kind(Generic[F]):
    """One kind of thing: how it is read, what it is called by, and whose it is."""

    def __init__(self, what: str, statement: Select[Any], read: Any, alias: Any, institution: Any) -> None:
        self.what = what
        self.statement = statement
        self.read = read
        self.table = alias.table
        self.alias = alias
        self.institution: ColumnElement[Any] = institution

    def within(self, scope: str | None) -> Select[Any]:
        return self.statement if scope is None else self.statement.where(self.institution == scope)


_owned_keys = (
    select(schema.api_key, schema.license_type.c.institution_id)
    .join(schema.license, schema.license.c.id == schema.api_key.c.license_id)
    .join(schema.license_type)
)
_revoked = schema.revoked_token.c
_owner = schema.license_type.c.institution_id

INSTITUTION: Kind[Institution] = Kind(
    "institution",
    rows.institutions,
    rows.read_institution,
    schema.institution.c.alias,
    schema.institution.c.id,
)
PUBLIC_KEY: Kind[PublicKey] = Kind(
    "public key",
    rows.public_keys,
    rows.read_public_key,
    schema.public_key.c.kid,
    schema.public_key.c.institution_id,
)
LICENSE_TYPE: Kind[LicenseType] = Kind(
    "licence type", rows.license_types, rows.read_license_type, schema.license_type.c.alias, _owner
)
LICENSE: Kind[License] = Kind("licence", rows.licenses, rows.read_license, schema.license.c.unique_id, _owner)
KEY: Kind[Key] = Kind("key", _owned_keys, rows.read_key, schema.api_key.c.prefix, _owner)
ADMIN_KEY: Kind[AdminKey] = Kind(
    "admin key", admin_keys, read_admin_key, schema.admin_key.c.prefix, schema.admin_key.c.institution_id
)

ROSTER: Kind[Roster] = Kind(
    "roster", rosters, read_roster, schema.roster.c.alias, schema.roster.c.institution_id
)


class Filter(Struct, frozen=True):
    """Column of the kind's own table (or `institution_id`, of whichever table knows) and what it must be."""

    column: str
    value: object


class Session:
    """One transaction. Raises NotFound, Ambiguous and AlreadyExists."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Whatever is done inside was not done afterwards."""
        inside = self._connection.begin_nested()
        try:
            yield
        finally:
            inside.rollback()

    def find(self, kind: Kind[F], reference: str, scope: str | None, beginning: int | None = None) -> F:
        """By its id, else by its alias, else by how its id begins, where `beginning` characters or more are
        said. A licence type also by `institution/alias`."""
        statement = kind.within(scope)
        name = reference
        if kind.what == LICENSE_TYPE.what and "/" in reference:
            institution, _, name = reference.partition("/")
            try:
                owner = self.find(INSTITUTION, institution, scope, beginning)
                statement = statement.where(_owner == owner.id)
            except NotFound as error:
                raise NotFound(kind.what, reference) from error
        identity = kind.table.c.id
        conditions = [identity == name, kind.alias == name]
        if beginning is not None and len(name) >= beginning:
            conditions.append(func.substr(identity, 1, len(name)) == name)
        for condition in conditions:
            found = self._read(kind, statement.where(condition).order_by(identity).limit(_MOST_CANDIDATES))
            if len(found) == 1:
                return found[0]
            if found:
                # Every row has an id, which a type variable cannot say.
                raise Ambiguous(kind.what, reference, [row.id for row in found])  # type: ignore[attr-defined]
        raise NotFound(kind.what, reference)

    def page(
        self,
        kind: Kind[F],
        scope: str | None,
        filters: Sequence[Filter],
        after: tuple[int, str] | None,
        limit: int,
    ) -> list[F]:
        """In the order in which they were made, those after (time, id) of the last one seen."""
        order = (kind.table.c.created_at, kind.table.c.id)
        statement = kind.within(scope).order_by(*order).limit(limit)
        for each in filters:
            column = kind.institution if each.column == "institution_id" else kind.table.c[each.column]
            statement = statement.where(column == each.value)
        if after is not None:
            statement = statement.where(tuple_(*order) > tuple_(*after))
        return self._read(kind, statement)

    def set(self, kind: Kind[F], id_: str, **values: object) -> F:
        """The row as it is then."""
        rows.set_columns(self._connection, kind.table, id_, **values)
        (row,) = self._read(kind, kind.statement.where(kind.table.c.id == id_))
        return row

    def has_successor(self, kind: Kind[Any], id_: str) -> bool:
        """Whether another key came in the place of this one."""
        statement = select(kind.table.c.id).where(kind.table.c.rotated_from == id_).limit(1)
        return self._connection.execute(statement).first() is not None

    def add_institution(self, alias: str, name: str, now: int) -> Institution:
        return rows.insert_institution(self._connection, alias, name, now)

    def add_public_key(self, row: PublicKey) -> PublicKey:
        return rows.insert_public_key(self._connection, row)

    def require_room(self, institution_id: str, now: int) -> None:
        """Raises AlreadyExists where the institution has as many public keys in use as can be."""
        rows.require_room(self._connection, institution_id, now)

    def add_license_type(self, row: LicenseType) -> LicenseType:
        return rows.insert_license_type(self._connection, row)

    def add_license(self, row: License) -> License:
        return rows.insert_license(self._connection, row)

    def add_key(self, row: Key, digest: bytes) -> Key:
        return rows.insert_key(self._connection, row, digest)

    def key_by_digest(self, digest: bytes) -> Key | None:
        row = self._connection.execute(rows.keys.where(schema.api_key.c.digest == digest)).first()
        return None if row is None else rows.read_key(row)

    def add_admin_key(self, row: AdminKey, digest: bytes) -> AdminKey:
        self._connection.execute(insert(schema.admin_key).values(**asdict(row), digest=digest))
        return row

    def admin_key_by_digest(self, digest: bytes) -> tuple[AdminKey, bytes] | None:
        """With the digest that was stored."""
        statement = admin_keys.add_columns(schema.admin_key.c.digest)
        row = self._connection.execute(statement.where(schema.admin_key.c.digest == digest)).first()
        return None if row is None else (read_admin_key(row), bytes(row.digest))

    # Revoked tokens

    def revoked_token(self, institution_id: str, jti: str) -> RevokedToken | None:
        statement = revoked_tokens.where(_revoked.institution_id == institution_id, _revoked.jti == jti)
        row = self._connection.execute(statement).first()
        return None if row is None else RevokedToken(*row)

    def revoke_token(self, row: RevokedToken) -> None:
        self._connection.execute(insert(schema.revoked_token).values(**asdict(row)))

    def revoked_page(
        self, scope: str | None, after: tuple[int, str, str] | None, limit: int
    ) -> list[RevokedToken]:
        """In their order, those after (time, institution, jti) of the last one seen."""
        order = (_revoked.revoked_at, _revoked.institution_id, _revoked.jti)
        statement = revoked_tokens.order_by(*order).limit(limit)
        if scope is not None:
            statement = statement.where(_revoked.institution_id == scope)
        if after is not None:
            statement = statement.where(tuple_(*order) > tuple_(*after))
        return [RevokedToken(*row) for row in self._connection.execute(statement)]

    # The ledger

    def ledger_rows(self, needs: Needs) -> Rows:
        return credit_rows.read_rows(self._connection, needs)

    def write_ledger(self, changes: Changes) -> None:
        credit_rows.write_changes(self._connection, changes)

    def charged_request(self, license_id: str, name: str) -> tuple[str, str] | None:
        return credit_rows.charged_request(self._connection, license_id, name)

    def entries(self, license_id: str, after: int, limit: int) -> list[EntryRow]:
        return credit_rows.page_of_entries(self._connection, license_id, after, limit)

    # Users' allowances

    def allowance(self, license_id: str, user_id: str) -> Allowance | None:
        return allowance_rows.find_allowance(self._connection, license_id, user_id)

    def allowances(self, license_id: str, after: str, limit: int) -> list[Allowance]:
        return allowance_rows.page_of_allowances(self._connection, license_id, after, limit)

    def set_allowance(self, license_id: str, user_id: str, cap: int | None) -> Allowance:
        return allowance_rows.set_allowance(self._connection, license_id, user_id, cap)

    # Rosters

    @property
    def rosters(self) -> RosterRows:
        return RosterRows(self._connection)

    # Usage

    def usage_totals(self, by: Grouping, wanted: UsageFilter) -> list[UsageTotal]:
        return read_totals(self._connection, by, wanted)

    def usage_page(self, wanted: UsageFilter, after: tuple[int, str] | None, limit: int) -> list[UsageEntry]:
        return read_entries(self._connection, wanted, after, limit)

    # The audit log

    def last_audit(self) -> AuditRow | None:
        newest = audit_entries.order_by(schema.audit_entry.c.seq.desc()).limit(1)
        row = self._connection.execute(newest).first()
        return None if row is None else read_audit(row)

    def append_audit(self, row: AuditRow) -> None:
        self._connection.execute(insert(schema.audit_entry).values(**asdict(row)))

    def audit_page(
        self,
        scope: str | None,
        filters: Sequence[Filter],
        *,
        since: int | None,
        until: int | None,
        before: int | None,
        limit: int,
    ) -> list[AuditRow]:
        """The newest first, those before number `before`."""
        table = schema.audit_entry.c
        conditions = [table[each.column] == each.value for each in filters]
        if scope is not None:
            conditions.append(table.institution_id == scope)
        if since is not None:
            conditions.append(table.at >= since)
        if until is not None:
            conditions.append(table.at < until)
        if before is not None:
            conditions.append(table.seq < before)
        statement = audit_entries.where(*conditions).order_by(table.seq.desc()).limit(limit)
        return [read_audit(row) for row in self._connection.execute(statement)]

    def audit_after(self, seq: int, limit: int) -> list[AuditRow]:
        """In their order, for whoever checks the chain."""
        table = schema.audit_entry.c
        statement = audit_entries.where(table.seq > seq).order_by(table.seq).limit(limit)
        return [read_audit(row) for row in self._connection.execute(statement)]

    # Answers that may be asked for again

    def answer(self, actor_id: str, key: str, now: int) -> StoredAnswer | None:
        """What was answered in the last day."""
        table = schema.admin_answer.c
        statement = select(table.request, table.answer).where(
            table.actor_id == actor_id, table.key == key, table.created_at > now - _ANSWER_MS
        )
        row = self._connection.execute(statement).first()
        return None if row is None else StoredAnswer(bytes(row.request), row.answer)

    def keep_answer(self, actor_id: str, key: str, answer: StoredAnswer, now: int) -> None:
        """And forgets what is older than a day."""
        table = schema.admin_answer
        self._connection.execute(delete(table).where(table.c.created_at <= now - _ANSWER_MS))
        values = {"actor_id": actor_id, "key": key, "created_at": now, **asdict(answer)}
        self._connection.execute(insert(table).values(**values))

    def _read(self, kind: Kind[F], statement: Select[Any]) -> list[F]:
        def read(row: Row[Any]) -> F:
            found: F = kind.read(row)
            return found

        return [read(row) for row in self._connection.execute(statement)]


class Desk:
    """Opens transactions. Raises DatabaseUnusable where the database does not answer."""

    def __init__(self, url: str, kept: int = 0) -> None:
        self._engine: Engine = open_engine(url, answer_seconds=_ANSWER_SECONDS, kept=kept)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Nobody else administers meanwhile. What is raised inside undoes everything."""
        with database_errors(), self._engine.begin() as connection:
            yield Session(connection)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with database_errors(), reading(self._engine) as connection:
            yield Session(connection)
