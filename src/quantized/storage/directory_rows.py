"""The rows of the directory as it hands them out, and how each is read and written.

Every function works inside its caller's transaction.
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, Table, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from quantized.core.limits import Limits
from quantized.core.ports import Override
from quantized.storage import schema
from quantized.storage.directory_faults import AlreadyExists
from quantized.storage.tokens import MOST_PUBLIC_KEYS


class Institution(Struct, frozen=True):
    id: str
    alias: str
    name: str
    created_at: int


class PublicKey(Struct, frozen=True):
    """An institution's Ed25519 key, in PEM. `kid` is what its tokens name it by, unique within the
    institution."""

    id: str
    institution_id: str
    kid: str | None
    pem: str
    active: bool
    created_at: int
    expires_at: int | None

    def works(self, now: int) -> bool:
        return self.active and (self.expires_at is None or now < self.expires_at)


class LicenseType(Struct, frozen=True):
    """`default_credits` (micro-credits) and `unlimited` are what its licences begin with. `retention_days` as
    in `core.ports.Caller`, `allowed_models` as in `core.ports.Terms`, `token_allowance` and `token_models` as
    in `storage.tokens.TokenTerms`. `allowed_providers` are patterns of providers' names, None for all;
    `user_allowance` (micro-credits) is what each user may use of one of its licences at most."""

    id: str
    institution_id: str
    alias: str
    name: str
    markup_bp: int
    overrides: Mapping[str, Override]
    default_credits: int | None
    unlimited: bool
    created_at: int
    updated_at: int
    stores_responses: bool = True
    retention_days: int | None = None
    allowed_models: tuple[str, ...] | None = None
    limits: Limits = Limits()
    token_allowance: int | None = None
    token_models: bool = False
    allowed_providers: tuple[str, ...] | None = None
    user_allowance: int | None = None


class License(Struct, frozen=True):
    """Amounts in micro-credits. `held` is set aside for requests under way. `user_allowance`: None for what
    its type says."""

    id: str
    institution_id: str
    license_type_id: str
    unique_id: str | None
    name: str
    unlimited: bool
    active: bool
    created_at: int
    granted: int
    used: int
    held: int
    user_allowance: int | None = None

    @property
    def remaining(self) -> int | None:
        """None for an unlimited licence."""
        return None if self.unlimited else self.granted - self.used


class Key(Struct, frozen=True):
    """A key without its secret, which is nowhere. `kind` as in `storage.schema.api_key`."""

    id: str
    license_id: str
    prefix: str
    name: str
    active: bool
    expires_at: int | None
    user_id: str | None
    created_at: int
    rotated_from: str | None
    kind: str = "key"

    def works(self, now: int) -> bool:
        """Whether the key itself is accepted; its licence has a say, too."""
        return self.active and (self.expires_at is None or now < self.expires_at)


institutions = select(schema.institution)
public_keys = select(schema.public_key)
license_types = select(schema.license_type)
licenses = select(schema.license, schema.license_type.c.institution_id).join(schema.license_type)
keys = select(schema.api_key)


def read_institution(row: Row[Any]) -> Institution:
    return Institution(row.id, row.alias, row.name, row.created_at)


def read_public_key(row: Row[Any]) -> PublicKey:
    return PublicKey(
        id=row.id,
        institution_id=row.institution_id,
        kid=row.kid,
        pem=row.pem,
        active=row.active,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def read_license_type(row: Row[Any]) -> LicenseType:
    return LicenseType(
        id=row.id,
        institution_id=row.institution_id,
        alias=row.alias,
        name=row.name,
        markup_bp=row.markup_bp,
        overrides=msgspec.json.decode(row.overrides, type=dict[str, Override]),
        default_credits=row.default_credits,
        unlimited=row.unlimited,
        created_at=row.created_at,
        updated_at=row.updated_at,
        stores_responses=row.stores_responses,
        retention_days=row.retention_days,
        allowed_models=decode_models(row.allowed_models),
        limits=Limits(
            requests_per_minute=row.requests_per_minute,
            tokens_per_minute=row.tokens_per_minute,
            parallel_requests=row.parallel_requests,
            output_tokens_per_request=row.output_tokens_per_request,
        ),
        token_allowance=row.token_allowance,
        token_models=row.token_models,
        allowed_providers=decode_models(row.allowed_providers),
        user_allowance=row.user_allowance,
    )


def read_license(row: Row[Any]) -> License:
    return License(
        id=row.id,
        institution_id=row.institution_id,
        license_type_id=row.license_type_id,
        unique_id=row.unique_id,
        name=row.name,
        unlimited=row.unlimited,
        active=row.active,
        created_at=row.created_at,
        granted=row.granted,
        used=row.used,
        held=row.held,
        user_allowance=row.user_allowance,
    )


def read_key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        license_id=row.license_id,
        prefix=row.prefix,
        name=row.name,
        active=row.active,
        expires_at=row.expires_at,
        user_id=row.user_id,
        created_at=row.created_at,
        rotated_from=row.rotated_from,
        kind=row.kind,
    )


def insert_institution(connection: Connection, alias: str, name: str, now: int) -> Institution:
    row = Institution(str(uuid4()), alias, name, now)
    _insert(connection, schema.institution, f"an institution {alias!r}", msgspec.structs.asdict(row))
    return row


def insert_public_key(connection: Connection, row: PublicKey) -> PublicKey:
    """Raises AlreadyExists for a key that the institution has, for its `kid`, and for one more than can be in
    use."""
    table = schema.public_key.c
    of_institution = public_keys.where(table.institution_id == row.institution_id)
    same = connection.execute(of_institution.where(table.pem == row.pem)).first()
    if same is not None:
        raise AlreadyExists(f"the institution has this public key already: {same.id}")
    require_room(connection, row.institution_id, row.created_at)
    what = f"a public key {row.kid!r} of this institution"
    _insert(connection, schema.public_key, what, msgspec.structs.asdict(row))
    return row


def require_room(connection: Connection, institution_id: str, now: int) -> None:
    """Raises AlreadyExists where the institution has as many public keys in use as can be."""
    table = schema.public_key.c
    in_use = select(func.count()).where(
        table.institution_id == institution_id,
        table.active,
        or_(table.expires_at.is_(None), table.expires_at > now),
    )
    if connection.execute(in_use).scalar_one() >= MOST_PUBLIC_KEYS:
        raise AlreadyExists(
            f"the institution has {MOST_PUBLIC_KEYS} public keys in use, and no more are tried; "
            "deactivate one first"
        )


def insert_license_type(connection: Connection, row: LicenseType) -> LicenseType:
    values = type_columns(msgspec.structs.asdict(row))
    _insert(connection, schema.license_type, f"a licence type {row.alias!r} of this institution", values)
    return row


def type_columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a LicenseType, all or some of them, as the table has them."""
    columns = dict(fields)
    if "overrides" in columns:
        columns["overrides"] = encode_overrides(columns["overrides"])
    for patterns in columns.keys() & {"allowed_models", "allowed_providers"}:
        columns[patterns] = encode_models(columns[patterns])
    if "limits" in columns:
        columns.update(msgspec.structs.asdict(columns.pop("limits")))
    return columns


def insert_license(connection: Connection, row: License) -> License:
    values = msgspec.structs.asdict(row)
    del values["institution_id"]
    _insert(connection, schema.license, f"a licence {row.unique_id!r} of this type", values)
    return row


def insert_key(connection: Connection, row: Key, digest: bytes) -> Key:
    values = {**msgspec.structs.asdict(row), "digest": digest}
    _insert(connection, schema.api_key, "this key", values)
    return row


def _insert(connection: Connection, table: Table, what: str, values: Mapping[str, object]) -> None:
    try:
        connection.execute(insert(table).values(values))
    except IntegrityError as error:
        # Ids are minted and parents were just read in the same transaction, so it is the alias that is taken.
        raise AlreadyExists(f"there is already {what}") from error


def set_columns(connection: Connection, table: Table, id_: str, **values: object) -> None:
    connection.execute(update(table).where(table.c.id == id_).values(**values))


def encode_overrides(overrides: Mapping[str, Override]) -> str:
    """JSON without the rates that stay the catalogue's."""
    return msgspec.json.encode(
        {
            model: {name: rate for name, rate in msgspec.structs.asdict(rates).items() if rate is not None}
            for model, rates in overrides.items()
        }
    ).decode()


def encode_models(patterns: tuple[str, ...] | None) -> str | None:
    return None if patterns is None else msgspec.json.encode(patterns).decode()


def decode_models(stored: str | None) -> tuple[str, ...] | None:
    return None if stored is None else msgspec.json.decode(stored, type=tuple[str, ...])
