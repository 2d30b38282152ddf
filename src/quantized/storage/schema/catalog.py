"""Models that providers list."""

from sqlalchemy import (
    BigInteger,
    Column,
    LargeBinary,
    Table,
    Text,
)

from quantized.storage.schema.base import metadata

# A provider's own list of models as we understood it; `data` is JSON. `position` orders the list.
catalog_model = Table(
    "catalog_model",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("fetched_at", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False, server_default="0"),
)
