"""What a signed token is judged by, and what its first use leaves behind.

For the event loop: a connection and a thread of its own, so that no verified credential waits for these.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4, uuid5

import msgspec
from msgspec import Struct

from quantized.storage.database import Database, database
from quantized.storage.database_thread import DatabaseThread

MOST_PUBLIC_KEYS = 8
"""Of one institution, in use at a time: a token that names none is tried with each."""

_LICENSES_OF_TOKENS = UUID("6d1f1c5b-9d0e-4b53-9a51-2f7a4f0c8a3e")

_INSTITUTION = "SELECT id FROM institution WHERE id = ? OR alias = ?"
_TYPE = (
    "SELECT id, default_credits, unlimited, token_allowance, token_models FROM license_type"
    " WHERE institution_id = ? AND (id = ? OR alias = ?)"
)
_KEYS = (
    "SELECT id, kid, pem FROM public_key"
    " WHERE institution_id = ? AND active AND (expires_at IS NULL OR expires_at > ?)"
    " ORDER BY created_at DESC, id DESC LIMIT ?"
)
_REVOKED = "SELECT 1 FROM revoked_token WHERE institution_id = ? AND jti = ?"
_KNOWN = "SELECT 1 FROM api_key WHERE digest = ?"
_BY_UNIQUE_ID = "SELECT id FROM license WHERE license_type_id = ? AND unique_id = ?"
_BY_ID = "SELECT id FROM license WHERE id = ?"
_MAKE_LICENSE = (
    "INSERT INTO license (id, license_type_id, unique_id, name, unlimited, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id"
)
_MAKE_FIRST_CREDITS = "INSERT INTO first_credits (license_id, amount) VALUES (?, ?)"
_PENDING = (
    "SELECT f.amount FROM first_credits AS f WHERE f.license_id = ?"
    " AND NOT EXISTS (SELECT 1 FROM ledger_entry AS e WHERE e.id = ?)"
)
_MAKE_KEY = (
    "INSERT INTO api_key (id, license_id, digest, prefix, name, expires_at, user_id, salt, created_at, kind,"
    " public_key_id, jti, models) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'token', ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)

_ENDED = (
    "SELECT k.id FROM api_key AS k WHERE k.kind = 'token' AND k.expires_at <= ? AND k.id > ?"
    " AND NOT EXISTS (SELECT 1 FROM api_key AS n WHERE n.rotated_from = k.id) ORDER BY k.id LIMIT ?"
)
_REMOVE = "DELETE FROM api_key WHERE id = ?"


class IssuerKey(Struct, frozen=True):
    id: str
    kid: str | None
    pem: str


class TokenTerms(Struct, frozen=True):
    """What a licence type says of tokens. `default_credits` and `unlimited` are what a licence begins with
    whose token claims nothing else; `allowance` is the most that one may claim, None for nothing."""

    id: str
    default_credits: int | None
    unlimited: bool
    allowance: int | None
    narrows_models: bool


class TokenIssuer(Struct, frozen=True):
    """An institution by the name that a token gives it, its keys that are in use, the newest first, its
    licence type of that name (None where it has none), and whether it revoked the token."""

    id: str
    keys: tuple[IssuerKey, ...]
    terms: TokenTerms | None
    revoked: bool


class FirstUse(Struct, frozen=True):
    """A token that was verified, and what it is to be from now on. `credits` and `unlimited` count where it
    makes a licence; None is none. `models` as in `core.ports.Terms.narrowed`."""

    digest: bytes
    public_key_id: str
    license_type_id: str
    key_id: str
    unique_id: str | None
    user_id: str | None
    salt: str | None
    jti: str | None
    expires_at: int | None
    models: tuple[str, ...] | None
    credits: int | None
    unlimited: bool
    now: int


class PendingCredits(Struct, frozen=True):
    """What a licence that a token made is to begin with. `entry_id` is that of the grant, so that it counts
    once, whoever says it."""

    license_id: str
    entry_id: str
    amount: int


class SqlTokenStore:
    """Every method raises LedgerUnavailable when the database does not answer within `patience` seconds."""

    def __init__(self, url: str, *, patience: float = 1.8) -> None:
        """Raises DatabaseUnusable for a URL that cannot work."""
        self._language = database(url)
        self._database = DatabaseThread(url, "tokens", patience)

    async def issuer(
        self, institution: str, license_type: str, jti: str | None, now: int
    ) -> TokenIssuer | None:
        """The institution with this id or alias, and its licence type with that one; None where there is no
        such institution."""

        def question(connection: Any) -> TokenIssuer | None:
            return _issuer(_Statements(connection, self._language), institution, license_type, jti, now)

        return await self._database.ask(question)

    async def admit(self, use: FirstUse) -> PendingCredits | None:
        """Makes the token's licence, where there is none yet, and its key. A licence that is to begin with
        credits gets its key only once they are granted: until then they are what is returned, and whoever
        has granted them says this again. May be said by several at once."""
        return await self._database.ask(
            lambda connection: _admit(_Statements(connection, self._language), use)
        )

    async def remove_ended(self, before: int, after: str, limit: int) -> list[str]:
        """Removes at most `limit` keys of tokens that expired by `before` (Unix milliseconds), by their ids
        and after one: the ids. What was charged to them stays."""

        def removal(connection: Any) -> list[str]:
            database = _Statements(connection, self._language)
            ended = [str(id_) for (id_,) in database.rows(_ENDED, before, after, limit)]
            if ended:
                with database.adding():
                    for id_ in ended:
                        database.do(_REMOVE, id_)
            return ended

        return await self._database.ask(removal)

    def close(self) -> None:
        self._database.close()


class _Statements:
    """One connection, spoken to in the driver's own marks."""

    def __init__(self, connection: Any, language: Database) -> None:
        self._connection = connection
        self._language = language

    def row(self, text: str, *values: str | int | bytes | None) -> Any:
        return self._run(text, values).fetchone()

    def rows(self, text: str, *values: str | int | bytes | None) -> list[Any]:
        found: list[Any] = self._run(text, values).fetchall()
        return found

    def do(self, text: str, *values: str | int | bytes | None) -> None:
        self._run(text, values)

    @contextmanager
    def adding(self) -> Iterator[None]:
        """One transaction, that ends with the block; what fails in it ends the connection with it. It waits
        for no administrator: of two that add the same, constraints say which is late."""
        for statement in self._language.begin_adding:
            self._connection.execute(statement)
        yield
        self._connection.execute("COMMIT")

    def _run(self, text: str, values: tuple[str | int | bytes | None, ...]) -> Any:
        return self._connection.execute(self._language.statement(text), values)


def _issuer(
    database: _Statements, institution: str, license_type: str, jti: str | None, now: int
) -> TokenIssuer | None:
    found = database.row(_INSTITUTION, institution, institution)
    if found is None:
        return None
    (owner,) = found
    keys = tuple(IssuerKey(*row) for row in database.rows(_KEYS, owner, now, MOST_PUBLIC_KEYS))
    revoked = jti is not None and database.row(_REVOKED, owner, jti) is not None
    row = database.row(_TYPE, owner, license_type, license_type)
    return TokenIssuer(owner, keys, None if row is None else _terms(row), revoked)


def _terms(row: tuple[str, int | None, int, int | None, int]) -> TokenTerms:
    type_id, default_credits, unlimited, allowance, narrows = row
    return TokenTerms(type_id, default_credits, bool(unlimited), allowance, bool(narrows))


def _admit(database: _Statements, use: FirstUse) -> PendingCredits | None:
    models = None if use.models is None else msgspec.json.encode(use.models).decode()
    shown = f"token-{use.digest.hex()[:12]}"
    with database.adding():
        if database.row(_KNOWN, use.digest) is not None:
            return None
        license_id = _license(database, use)
        entry_id = f"grant-first-{license_id}"
        pending = database.row(_PENDING, license_id, entry_id)
        if pending is not None:
            return PendingCredits(license_id, entry_id, pending[0])
        database.do(
            _MAKE_KEY,
            use.key_id, license_id, use.digest, shown, use.jti or "signed token", use.expires_at,
            use.user_id, use.salt, use.now, use.public_key_id, use.jti, models,
        )  # fmt: skip
        return None


def _license(database: _Statements, use: FirstUse) -> str:
    """The id of the token's licence, which is made where there is none. A token that names none has one of
    its own, whose id follows from the token, so that it is found again."""
    if use.unique_id is None:
        license_id = str(uuid5(_LICENSES_OF_TOKENS, use.digest.hex()))
        found = database.row(_BY_ID, license_id)
    else:
        license_id = str(uuid4())
        found = database.row(_BY_UNIQUE_ID, use.license_type_id, use.unique_id)
    if found is not None:
        return str(found[0])
    name = use.unique_id or "signed token"
    made = database.row(
        _MAKE_LICENSE, license_id, use.license_type_id, use.unique_id, name, use.unlimited, use.now
    )
    if made is None:
        # Another process has just made it, or an administrator.
        return _license(database, use)
    if use.credits and not use.unlimited:
        database.do(_MAKE_FIRST_CREDITS, license_id, use.credits)
    return license_id
