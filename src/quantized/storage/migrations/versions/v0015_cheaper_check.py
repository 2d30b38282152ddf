"""SQLite: a rule of holds that costs less and says the same. See `storage.schema.ledger`."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_BEFORE = "state IN ('open', 'settled', 'released')"
_AFTER = "state = 'open' OR state = 'settled' OR state = 'released'"


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        return
    # SQLite keeps a table's rules as their text alone, and documents this way of changing one that no row
    # breaks: any other would copy every row.
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'hold'"
        " AND instr(sql, ?) > 0",
        (_BEFORE, _AFTER, _BEFORE),
    )
    if changed.rowcount != 1:
        raise RuntimeError("the table of holds is not as the migrations before have left it")
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
