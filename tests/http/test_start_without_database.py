"""A gateway that is started while its database is away."""

from typing import Any

import pytest

from quantized.app import Application
from quantized.core.errors import LedgerUnavailable
from quantized.settings import load


async def test_the_cause_is_told_in_a_line_and_no_traceback() -> None:
    settings = load({"QUANTIZED_DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/books"}, None)
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        told.append(message)

    with pytest.raises(LedgerUnavailable):
        await Application(settings)({"type": "lifespan", "app": None, "state": {}}, receive, send)
    (failed,) = told
    assert failed["type"] == "lifespan.startup.failed"
    assert failed["message"].startswith("cannot start: ")
    assert "cannot connect to books at 127.0.0.1: " in failed["message"]
    assert "\n" not in failed["message"] and "secret" not in failed["message"]
