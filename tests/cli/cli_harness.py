"""What a command left behind."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from database_copies import KINDS


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


EVERY_WAY = pytest.mark.parametrize("database", [*KINDS, "api"], indirect=True)
"""On each kind of database, and by the API of a gateway."""

Run = Callable[..., Ran]
