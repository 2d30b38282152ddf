"""Admin keys, the audit log and kept answers, as rows."""

from typing import Any

from msgspec import Struct
from sqlalchemy import Row, select

from quantized.storage import schema


class AdminKey(Struct, frozen=True):
    """An admin key without its secret, which is nowhere. `institution_id` is what it is bounded by."""

    id: str
    prefix: str
    name: str
    role: str
    institution_id: str | None
    active: bool
    expires_at: int | None
    created_by: str
    created_at: int
    rotated_from: str | None

    def works(self, now: int) -> bool:
        return self.active and (self.expires_at is None or now < self.expires_at)


class AuditRow(Struct, frozen=True):
    """See `storage.schema.audit_entry`; `before` and `after` are JSON."""

    seq: int
    at: int
    actor_id: str
    actor_name: str
    role: str
    origin: str
    request_id: str | None
    institution_id: str | None
    action: str
    target: str
    target_id: str
    reason: str | None
    before: str | None
    after: str | None
    hash: bytes


class RevokedToken(Struct, frozen=True):
    """A signed token that is refused, whatever it says of itself but its `jti`."""

    institution_id: str
    jti: str
    reason: str
    revoked_at: int


class StoredAnswer(Struct, frozen=True):
    """`request` is SHA-256 of what was asked, `answer` JSON."""

    request: bytes
    answer: str


admin_keys = select(*(schema.admin_key.c[name] for name in AdminKey.__struct_fields__))
revoked_tokens = select(*(schema.revoked_token.c[name] for name in RevokedToken.__struct_fields__))
audit_entries = select(*(schema.audit_entry.c[name] for name in AuditRow.__struct_fields__))


def read_admin_key(row: Row[Any]) -> AdminKey:
    return AdminKey(*row[: len(AdminKey.__struct_fields__)])


def read_audit(row: Row[Any]) -> AuditRow:
    fields = dict(row._mapping)
    return AuditRow(**{**fields, "hash": bytes(row.hash)})
