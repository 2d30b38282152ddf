"""The ledger's store and the turns' store of a database, by its URL."""

from quantized.storage.database import is_postgres
from quantized.storage.records import LedgerStore
from quantized.storage.turn_store import TurnStore


def ledger_store(url: str, *, owner: str | None = None, busy_seconds: float = 1.0) -> LedgerStore:
    """Opened when first needed. `owner` is the process that takes holds here; `busy_seconds`: for how long it
    waits for others' transactions. Raises DatabaseUnusable for a URL that cannot work."""
    # Each driver is imported by whoever uses it: PostgreSQL's takes longer than the rest of a start.
    if is_postgres(url):
        from quantized.storage.postgres_ledger import PostgresLedgerStore  # noqa: PLC0415

        return PostgresLedgerStore(url, owner=owner, busy_seconds=busy_seconds)
    from quantized.storage.sqlite_ledger import SqliteLedgerStore  # noqa: PLC0415

    return SqliteLedgerStore(url, owner=owner, busy_seconds=busy_seconds)


def turn_store(url: str, *, patience: float = 1.8) -> TurnStore:
    """Opened when first needed. Raises DatabaseUnusable for a URL that cannot work."""
    if is_postgres(url):
        from quantized.storage.postgres_turns import PostgresTurnReader  # noqa: PLC0415

        return TurnStore(url, PostgresTurnReader, patience=patience)
    from quantized.storage.sqlite_turns import SqliteTurnReader  # noqa: PLC0415

    return TurnStore(url, SqliteTurnReader, patience=patience)
