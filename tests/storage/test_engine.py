"""An engine whose database somebody else writes."""

import pytest
from plain_sql import plainly

from quantized.storage.database import DatabaseUnusable, database
from quantized.storage.engine import open_engine
from quantized.storage.faults import database_errors


def test_whoever_writes_is_waited_for_no_longer_than_was_said(database_url: str) -> None:
    engine = open_engine(database_url, busy_seconds=0.05)
    with plainly(database_url) as other:
        for statement in database(database_url).begin_writing:
            other(statement)
        with pytest.raises(DatabaseUnusable, match=r"locked|lock timeout"), database_errors(), engine.begin():
            pass
        other("ROLLBACK")
    with database_errors(), engine.begin():
        pass
