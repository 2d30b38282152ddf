"""Who may call: institutions, licence types, licences and keys, as an administrator makes and reads them.

Each method is one transaction. Whoever is meant is named by `reference`: an id, an alias (`unique_id` for a
licence, the shown prefix for a key), or the beginning of an id that only one has.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, Engine

from quantized.core.ids import mint_id
from quantized.core.limits import Limits
from quantized.core.ports import Override
from quantized.storage import directory_rows as rows
from quantized.storage import schema
from quantized.storage.directory_faults import NotFound
from quantized.storage.directory_rows import Institution, Key, License, LicenseType, PublicKey
from quantized.storage.engine import reading
from quantized.storage.faults import database_errors


class NewKey(Struct, frozen=True):
    """What the directory is told about a key that was just minted."""

    digest: bytes
    prefix: str
    name: str
    expires_at: int | None = None
    user_id: str | None = None


class Founding(Struct, frozen=True):
    institution: Institution
    license_type: LicenseType
    license: License


class FoundingPlan(Struct, frozen=True):
    """What the first of everything is called. The licence type's credits are the licence's own, too."""

    institution_alias: str
    institution_name: str
    license_type_alias: str
    license_type_name: str
    license_unique_id: str
    license_name: str
    default_credits: int


class Directory:
    """Methods that change something take `now`, Unix milliseconds.

    Every method may raise NotFound, Ambiguous and DatabaseUnusable.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # Institutions

    def create_institution(self, alias: str, name: str, now: int) -> Institution:
        """Raises AlreadyExists."""
        with self._writing() as connection:
            return rows.insert_institution(connection, alias, name, now)

    def institutions(self) -> list[Institution]:
        with self._reading() as connection:
            return rows.read_all(
                connection, rows.institutions.order_by(schema.institution.c.alias), rows.read_institution
            )

    def institution(self, reference: str) -> Institution:
        with self._reading() as connection:
            return rows.find_institution(connection, reference)

    def add_public_key(
        self, institution: str, pem: str, now: int, *, kid: str | None = None, expires_at: int | None = None
    ) -> PublicKey:
        """Raises AlreadyExists where the institution has it, or one with this `kid`, or too many."""
        with self._writing() as connection:
            owner = rows.find_institution(connection, institution).id
            key_id = mint_id("pub", now)
            row = PublicKey(key_id, owner, kid, pem, active=True, created_at=now, expires_at=expires_at)
            return rows.insert_public_key(connection, row)

    def public_keys(self, institution: str | None = None) -> list[PublicKey]:
        """In the order in which they were added."""
        with self._reading() as connection:
            statement = rows.public_keys.order_by(schema.public_key.c.created_at, schema.public_key.c.id)
            if institution is not None:
                owner = rows.find_institution(connection, institution).id
                statement = statement.where(schema.public_key.c.institution_id == owner)
            return rows.read_all(connection, statement, rows.read_public_key)

    # Licence types

    def create_license_type(  # noqa: PLR0913  one for each column
        self,
        institution: str,
        alias: str,
        name: str,
        now: int,
        *,
        markup_bp: int = 10_000,
        overrides: Mapping[str, Override] | None = None,
        default_credits: int | None = None,
        unlimited: bool = False,
        stores_responses: bool = True,
        retention_days: int | None = None,
        allowed_models: tuple[str, ...] | None = None,
        limits: Limits | None = None,
        token_allowance: int | None = None,
        token_models: bool = False,
        allowed_providers: tuple[str, ...] | None = None,
        user_allowance: int | None = None,
    ) -> LicenseType:
        """Raises AlreadyExists."""
        with self._writing() as connection:
            row = LicenseType(
                id=str(uuid4()),
                institution_id=rows.find_institution(connection, institution).id,
                alias=alias,
                name=name,
                markup_bp=markup_bp,
                overrides=overrides or {},
                default_credits=default_credits,
                unlimited=unlimited,
                created_at=now,
                updated_at=now,
                stores_responses=stores_responses,
                retention_days=retention_days,
                allowed_models=allowed_models,
                limits=limits or Limits(),
                token_allowance=token_allowance,
                token_models=token_models,
                allowed_providers=allowed_providers,
                user_allowance=user_allowance,
            )
            return rows.insert_license_type(connection, row)

    def license_types(self, institution: str | None = None) -> list[LicenseType]:
        with self._reading() as connection:
            statement = rows.license_types.order_by(
                schema.license_type.c.created_at, schema.license_type.c.id
            )
            if institution is not None:
                owner = rows.find_institution(connection, institution).id
                statement = statement.where(schema.license_type.c.institution_id == owner)
            return rows.read_all(connection, statement, rows.read_license_type)

    def license_type(self, reference: str) -> LicenseType:
        with self._reading() as connection:
            return rows.find_license_type(connection, reference)

    def update_license_type(
        self, reference: str, now: int, change: Callable[[LicenseType], LicenseType]
    ) -> LicenseType:
        """Stores what `change` makes of the type as it is; ids and times are not its to change."""
        with self._writing() as connection:
            old = rows.find_license_type(connection, reference)
            new = change(old)
            rows.set_columns(
                connection,
                schema.license_type,
                old.id,
                name=new.name,
                markup_bp=new.markup_bp,
                overrides=rows.encode_overrides(new.overrides),
                default_credits=new.default_credits,
                unlimited=new.unlimited,
                stores_responses=new.stores_responses,
                retention_days=new.retention_days,
                allowed_models=rows.encode_models(new.allowed_models),
                **asdict(new.limits),
                token_allowance=new.token_allowance,
                token_models=new.token_models,
                # Rates are cached by this time, so that it must never stay the same.
                updated_at=max(now, old.updated_at + 1),
            )
            return rows.find_license_type(connection, old.id)

    # Licences

    def create_license(
        self,
        license_type: str,
        now: int,
        *,
        unique_id: str | None = None,
        name: str | None = None,
        unlimited: bool = False,
    ) -> License:
        """A licence without credits, which the ledger alone can grant. Raises AlreadyExists."""
        with self._writing() as connection:
            parent = rows.find_license_type(connection, license_type)
            row = _new_license(parent, unique_id, name or unique_id or "", unlimited, now)
            return rows.insert_license(connection, row)

    def licenses(self, *, institution: str | None = None, license_type: str | None = None) -> list[License]:
        with self._reading() as connection:
            statement = rows.licenses.order_by(schema.license.c.created_at, schema.license.c.id)
            if institution is not None:
                owner = rows.find_institution(connection, institution).id
                statement = statement.where(schema.license_type.c.institution_id == owner)
            if license_type is not None:
                owner = rows.find_license_type(connection, license_type).id
                statement = statement.where(schema.license.c.license_type_id == owner)
            return rows.read_all(connection, statement, rows.read_license)

    def license(self, reference: str) -> License:
        with self._reading() as connection:
            return rows.find_license(connection, reference)

    def set_license_active(self, reference: str, active: bool) -> License:
        with self._writing() as connection:
            owner = rows.find_license(connection, reference).id
            rows.set_columns(connection, schema.license, owner, active=active)
            return rows.find_license(connection, owner)

    # Keys

    def create_key(self, owner: str, key: NewKey, now: int) -> Key:
        """`owner` refers to a licence."""
        with self._writing() as connection:
            return _insert_key(connection, rows.find_license(connection, owner).id, key, now)

    def keys(self, owner: str | None = None) -> list[Key]:
        with self._reading() as connection:
            statement = rows.keys.order_by(schema.api_key.c.created_at, schema.api_key.c.id)
            if owner is not None:
                license_id = rows.find_license(connection, owner).id
                statement = statement.where(schema.api_key.c.license_id == license_id)
            return rows.read_all(connection, statement, rows.read_key)

    def key(self, reference: str) -> Key:
        with self._reading() as connection:
            return rows.find_key(connection, reference)

    def key_by_digest(self, digest: bytes) -> Key | None:
        with self._reading() as connection:
            found = rows.read_all(
                connection, rows.keys.where(schema.api_key.c.digest == digest), rows.read_key
            )
            return found[0] if found else None

    def set_key_active(self, reference: str, active: bool) -> Key:
        with self._writing() as connection:
            owner = rows.find_key(connection, reference).id
            rows.set_columns(connection, schema.api_key, owner, active=active)
            return rows.find_key(connection, owner)

    # The first of everything

    def found(self, plan: FoundingPlan, now: int) -> Founding | None:
        """The institution, licence type and licence of the plan, made now where there is no institution at
        all. None where others were made and these were not."""
        with self._writing() as connection:
            if not rows.read_all(connection, rows.institutions.limit(1), rows.read_institution):
                return _insert_founding(connection, plan, now)
            try:
                institution = rows.find_institution(connection, plan.institution_alias)
                type_reference = f"{institution.id}/{plan.license_type_alias}"
                license_type = rows.find_license_type(connection, type_reference)
            except NotFound:
                return None
            statement = rows.licenses.where(
                schema.license.c.license_type_id == license_type.id,
                schema.license.c.unique_id == plan.license_unique_id,
            )
            licenses = rows.read_all(connection, statement, rows.read_license)
            return Founding(institution, license_type, licenses[0]) if licenses else None

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with database_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with database_errors(), reading(self._engine) as connection:
            yield connection


def _new_license(parent: LicenseType, unique_id: str | None, name: str, unlimited: bool, now: int) -> License:
    return License(
        id=str(uuid4()),
        institution_id=parent.institution_id,
        license_type_id=parent.id,
        unique_id=unique_id,
        name=name,
        unlimited=unlimited,
        active=True,
        created_at=now,
        granted=0,
        used=0,
        held=0,
    )


def _insert_key(connection: Connection, license_id: str, key: NewKey, now: int) -> Key:
    row = Key(
        id=mint_id("key", now),
        license_id=license_id,
        prefix=key.prefix,
        name=key.name,
        active=True,
        expires_at=key.expires_at,
        user_id=key.user_id,
        created_at=now,
        rotated_from=None,
    )
    return rows.insert_key(connection, row, key.digest)


def _insert_founding(connection: Connection, plan: FoundingPlan, now: int) -> Founding:
    institution = rows.insert_institution(connection, plan.institution_alias, plan.institution_name, now)
    license_type = LicenseType(
        id=str(uuid4()),
        institution_id=institution.id,
        alias=plan.license_type_alias,
        name=plan.license_type_name,
        markup_bp=10_000,
        overrides={},
        default_credits=plan.default_credits,
        unlimited=False,
        created_at=now,
        updated_at=now,
    )
    rows.insert_license_type(connection, license_type)
    first = _new_license(license_type, plan.license_unique_id, plan.license_name, False, now)
    return Founding(institution, license_type, rows.insert_license(connection, first))
