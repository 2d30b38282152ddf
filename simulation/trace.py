"""What happened, step by step: to read, and as one hash."""

from collections.abc import Callable
from hashlib import sha256


class Trace:
    def __init__(self, *, tell: Callable[[str], None] | None = None) -> None:
        """`tell` hears every step."""
        self.lines: list[str] = []
        self._tell = tell
        self._hash = sha256()

    def step(self, at: float, who: str, what: tuple[object, ...]) -> None:
        line = f"{self.steps + 1:6} {at:10.4f}  {who:<11} {' '.join(map(str, what))}"
        self.lines.append(line)
        self._hash.update(line.encode())
        if self._tell is not None:
            self._tell(line)

    @property
    def steps(self) -> int:
        return len(self.lines)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
