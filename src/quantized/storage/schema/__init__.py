"""The tables, once. Portable between SQLite and PostgreSQL; the migrations build exactly these.

Ids are text, times are Unix milliseconds, amounts are micro-credits. What a licence type does not say about
a model, the catalogue says.
"""

from quantized.storage.schema.administration import (
    admin_answer,
    admin_key,
    audit_entry,
)
from quantized.storage.schema.base import metadata
from quantized.storage.schema.catalog import (
    catalog_model,
)
from quantized.storage.schema.conversations import (
    response,
    response_call,
    response_reasoning,
)
from quantized.storage.schema.directory import (
    api_key,
    claim_link,
    first_credits,
    institution,
    license,  # noqa: A004  the domain's own word
    license_type,
    public_key,
    revoked_token,
    roster,
    roster_person,
)
from quantized.storage.schema.ledger import (
    hold,
    ledger_entry,
    process,
    usage_record,
    user_allowance,
)

__all__ = [
    "admin_answer",
    "admin_key",
    "api_key",
    "audit_entry",
    "catalog_model",
    "claim_link",
    "first_credits",
    "hold",
    "institution",
    "ledger_entry",
    "license",
    "license_type",
    "metadata",
    "process",
    "public_key",
    "response",
    "response_call",
    "response_reasoning",
    "revoked_token",
    "roster",
    "roster_person",
    "usage_record",
    "user_allowance",
]
