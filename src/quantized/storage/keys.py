"""What requests read about keys and licences: never on the event loop, and never behind a writer."""

import hashlib
from typing import Any

import msgspec
from msgspec.structs import replace

from quantized.core.errors import LedgerUnavailable
from quantized.core.limits import Limits
from quantized.core.ports import Caller, Issuer, KeyRecord, LicenseStatus, Override, Terms, UserAllowance
from quantized.storage.database_thread import DatabaseThread

_FIND = (
    "SELECT k.digest, k.active, k.expires_at, l.active, t.institution_id, t.id, l.id, k.id, k.user_id,"
    " t.markup_bp, t.overrides, t.stores_responses, t.retention_days, t.allowed_models, k.models,"
    " p.id, p.active, p.expires_at, r.jti, t.allowed_providers, t.requests_per_minute, t.tokens_per_minute,"
    " t.parallel_requests, t.output_tokens_per_request,"
    " CASE WHEN k.user_id IS NOT NULL THEN COALESCE(a.cap, l.user_allowance, t.user_allowance) END"
    " FROM api_key AS k JOIN license AS l ON l.id = k.license_id"
    " JOIN license_type AS t ON t.id = l.license_type_id"
    " LEFT JOIN public_key AS p ON p.id = k.public_key_id"
    " LEFT JOIN revoked_token AS r ON r.institution_id = t.institution_id AND r.jti = k.jti"
    " LEFT JOIN user_allowance AS a ON a.license_id = k.license_id AND a.user_id = k.user_id"
    " WHERE k.digest = ?"
)
_STATUS = (
    "SELECT t.institution_id, t.id, l.id, l.unique_id, l.used,"
    " CASE WHEN l.unlimited THEN NULL ELSE l.granted - l.used END"
    " FROM license AS l JOIN license_type AS t ON t.id = l.license_type_id WHERE l.id = ?"
)
_USER = (
    "SELECT COALESCE(a.cap, l.user_allowance, t.user_allowance), COALESCE(a.used, 0)"
    " FROM license AS l JOIN license_type AS t ON t.id = l.license_type_id"
    " LEFT JOIN user_allowance AS a ON a.license_id = l.id AND a.user_id = ? WHERE l.id = ?"
)


class SqlKeyStore:
    """`core.ports.KeyStore`, with a connection and a thread of its own.

    Every method raises LedgerUnavailable when the database does not answer within `patience` seconds.
    """

    def __init__(self, url: str, *, patience: float = 1.8) -> None:
        """Raises DatabaseUnusable for a URL that cannot work."""
        self._database = DatabaseThread(url, "keys", patience)

    async def find(self, digest: bytes) -> KeyRecord | None:
        row = await self._ask_row(_FIND, digest)
        return None if row is None else _key_record(row)

    async def read_license(self, license_id: str, user_id: str | None = None) -> LicenseStatus | None:
        """The licence as it is now, and what this user has of it where an allowance applies; None where there
        is no licence with this id."""
        row = await self._ask_row(_STATUS, license_id)
        if row is None:
            return None
        status = LicenseStatus(*row)
        user = None if user_id is None else await self._ask_row(_USER, user_id, license_id)
        if user_id is None or user is None or user[0] is None:
            return status
        cap, used = user
        allowance = UserAllowance(user_id, cap, used, max(0, cap - used))
        return replace(status, user_allowance=allowance)

    async def check(self) -> None:
        """Returns when the database answers, for a readiness check."""
        await self._ask_row("SELECT id FROM license LIMIT 1")

    def close(self) -> None:
        self._database.close()

    async def _ask_row(self, text: str, *values: str | bytes) -> Any:
        statement = self._database.statement(text)
        return await self._database.ask(lambda connection: connection.execute(statement, values).fetchone())


def _key_record(row: tuple[Any, ...]) -> KeyRecord:
    (
        digest, active, expires_at, license_active, institution_id, license_type_id, license_id, key_id,
        user_id, markup_bp, overrides, stores_responses, retention_days, allowed_models, models,
        public_key_id, public_key_active, public_key_expires_at, revoked, providers, *limits, user_allowance,
    ) = row  # fmt: skip
    terms = _terms(markup_bp, overrides, allowed_models, models, providers)
    return KeyRecord(
        digest=digest,
        active=bool(active),
        expires_at=expires_at,
        license_active=bool(license_active),
        caller=Caller(
            institution_id,
            license_type_id,
            license_id,
            key_id,
            terms,
            user_id,
            bool(stores_responses),
            retention_days,
            Limits(*limits),
            user_allowance,
        ),
        issuer=None
        if public_key_id is None
        else Issuer(public_key_id, bool(public_key_active), public_key_expires_at, revoked is not None),
    )


def _terms(
    markup_bp: int, overrides: str, allowed_models: str | None, models: str | None, providers: str | None
) -> Terms:
    # Named by their content: whoever changes them, and however often, the name is never one too old.
    content = f"{overrides}\n{allowed_models}\n{models}\n{providers}"
    version = hashlib.sha256(content.encode()).hexdigest()[:24]
    try:
        rates = msgspec.json.decode(overrides, type=dict[str, Override])
        allowed, narrowed, asked = _patterns(allowed_models), _patterns(models), _patterns(providers)
    except msgspec.MsgspecError as error:
        cause = f"a licence type's rates, models or providers cannot be read: {error}"
        raise LedgerUnavailable(cause=cause) from error
    return Terms(f"{markup_bp}-{version}", markup_bp, rates, allowed, narrowed, asked)


def _patterns(stored: str | None) -> tuple[str, ...] | None:
    return None if stored is None else msgspec.json.decode(stored, type=tuple[str, ...])
