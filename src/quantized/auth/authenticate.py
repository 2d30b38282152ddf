"""From an `Authorization` header to a `Caller`."""

import asyncio
import hmac
from typing import TypeVar

from msgspec import Struct

from quantized.auth.api_key import PREFIX, digest
from quantized.core.errors import Unauthenticated
from quantized.core.ports import Caller, Clock, KeyRecord, KeyStore

T = TypeVar("T")

_LONGEST = 512
"""Characters of a header that could hold a key of ours."""

_REMEMBERED = 10_000
"""Keys remembered at most, and apart from them, refusals."""


class _Known(Struct, frozen=True):
    """`until` is on the monotonic clock."""

    until: float
    record: KeyRecord


class _Refused(Struct, frozen=True):
    until: float
    cause: str


class Authenticator:
    """Remembers what the store said for `cache_seconds`, counted from the question; whatever changes is seen
    after that. A key's own expiry is seen at once. Refusals are remembered apart, so that a flood of wrong
    keys pushes no right one out."""

    def __init__(self, store: KeyStore, clock: Clock, cache_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._known: dict[bytes, _Known] = {}
        self._refused: dict[bytes, _Refused] = {}
        self._questions: dict[bytes, asyncio.Task[Caller]] = {}

    async def authenticate(self, authorization: str | None) -> Caller:
        """Raises Unauthenticated, always with the same message; LedgerUnavailable when the store is."""
        key_digest = digest(_bearer(authorization))
        now = self._clock.monotonic()
        known = self._known.get(key_digest)
        if known is not None and now < known.until and hmac.compare_digest(known.record.digest, key_digest):
            return self._judged(known.record)
        refused = self._refused.get(key_digest)
        if refused is not None and now < refused.until:
            raise Unauthenticated(cause=refused.cause)
        question = self._questions.get(key_digest)
        if question is None:
            question = asyncio.ensure_future(self._ask(key_digest, now + self._cache_seconds))
            self._questions[key_digest] = question
            question.add_done_callback(lambda question: self._asked(key_digest, question))
        # Several requests may wait for this answer; one that leaves takes nothing from the others.
        return await asyncio.shield(question)

    async def _ask(self, key_digest: bytes, until: float) -> Caller:
        record = await self._store.find(key_digest)
        try:
            if record is None or not hmac.compare_digest(record.digest, key_digest):
                raise Unauthenticated(cause="unknown key")
            caller = self._judged(record)
        except Unauthenticated as refusal:
            self._known.pop(key_digest, None)
            _remember(self._refused, key_digest, _Refused(until, refusal.cause or ""))
            raise
        self._refused.pop(key_digest, None)
        _remember(self._known, key_digest, _Known(until, record))
        return caller

    def _asked(self, key_digest: bytes, question: asyncio.Task[Caller]) -> None:
        del self._questions[key_digest]
        if not question.cancelled():
            question.exception()  # whoever asked may have left; the answer counts as heard

    def _judged(self, record: KeyRecord) -> Caller:
        if not record.active:
            raise Unauthenticated(cause=f"key {record.caller.key_id} is deactivated")
        if record.expires_at is not None and record.expires_at <= self._clock.now_ms():
            raise Unauthenticated(cause=f"key {record.caller.key_id} has expired")
        if not record.license_active:
            raise Unauthenticated(cause=f"licence {record.caller.license_id} is deactivated")
        return record.caller


def _bearer(authorization: str | None) -> str:
    """The key in the header. Raises Unauthenticated for whatever cannot be a key of ours."""
    if authorization is None:
        raise Unauthenticated(cause="no Authorization header")
    if len(authorization) > _LONGEST:
        raise Unauthenticated(cause="the Authorization header is too long for a key")
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated(cause="the Authorization header is not Bearer")
    if not credential.startswith(PREFIX) or not credential.isascii():
        raise Unauthenticated(cause="not a key of ours")
    return credential


def _remember(memory: dict[bytes, T], key_digest: bytes, what: T) -> None:
    """As the newest; the oldest makes room."""
    memory.pop(key_digest, None)
    if len(memory) >= _REMEMBERED:
        del memory[next(iter(memory))]
    memory[key_digest] = what
