"""From an `Authorization` header to a `Caller`."""

import asyncio
import hmac
from typing import TypeVar

from msgspec import Struct

from quantized.auth.admission import Admission
from quantized.auth.api_key import PREFIX, digest
from quantized.auth.jwt import MOST_CHARACTERS, looks_like_token, read_token
from quantized.core.errors import Unauthenticated
from quantized.core.ports import Caller, Clock, Issuer, KeyRecord, KeyStore

T = TypeVar("T")

_LONGEST = 512
"""Characters of a header that could hold a key of ours."""

_LONGEST_WITH_TOKEN = MOST_CHARACTERS + 64

_REMEMBERED = 10_000
"""Credentials remembered at most, and apart from them, refusals."""


class _Known(Struct, frozen=True):
    """`until` is on the monotonic clock."""

    until: float
    record: KeyRecord


class _Refused(Struct, frozen=True):
    until: float
    cause: str


class Authenticator:
    """Remembers what the store said for `cache_seconds`, counted from the question; whatever changes is seen
    after that. A credential's own expiry is seen at once. Refusals are remembered apart, so that a flood of
    wrong keys pushes no right one out. What is remembered goes by the SHA-256 of the whole credential."""

    def __init__(
        self, store: KeyStore, clock: Clock, cache_seconds: float, admission: Admission | None = None
    ) -> None:
        """Without `admission`, a token is accepted only where it was used before."""
        self._store = store
        self._admission = admission
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._known: dict[bytes, _Known] = {}
        self._refused: dict[bytes, _Refused] = {}
        self._questions: dict[bytes, asyncio.Task[Caller]] = {}

    async def authenticate(self, authorization: str | None) -> Caller:
        """Raises Unauthenticated, always with the same message; LedgerUnavailable when the store is."""
        credential = _bearer(authorization)
        key_digest = digest(credential)
        now = self._clock.monotonic()
        known = self._known.get(key_digest)
        if known is not None and now < known.until and hmac.compare_digest(known.record.digest, key_digest):
            return judge_record(known.record, self._clock.now_ms())
        refused = self._refused.get(key_digest)
        if refused is not None and now < refused.until:
            raise Unauthenticated(cause=refused.cause)
        question = self._questions.get(key_digest)
        if question is None:
            question = asyncio.ensure_future(self._ask(credential, key_digest, now + self._cache_seconds))
            self._questions[key_digest] = question
            question.add_done_callback(lambda question: self._asked(key_digest, question))
        # Several requests may wait for this answer; one that leaves takes nothing from the others.
        return await asyncio.shield(question)

    async def _ask(self, credential: str, key_digest: bytes, until: float) -> Caller:
        try:
            record = await self._find(credential, key_digest)
            if record is None or not hmac.compare_digest(record.digest, key_digest):
                raise Unauthenticated(cause="unknown key")
            caller = judge_record(record, self._clock.now_ms())
        except Unauthenticated as refusal:
            self._known.pop(key_digest, None)
            _remember(self._refused, key_digest, _Refused(until, refusal.cause or ""))
            raise
        self._refused.pop(key_digest, None)
        _remember(self._known, key_digest, _Known(until, record))
        return caller

    async def _find(self, credential: str, key_digest: bytes) -> KeyRecord | None:
        """A token has no record before it was verified, so that having one is the proof that it was."""
        if credential.startswith(PREFIX):
            return await self._store.find(key_digest)
        token = read_token(credential)
        record = await self._store.find(key_digest)
        if record is None and self._admission is not None:
            await self._admission.admit(token, key_digest)
            record = await self._store.find(key_digest)
        return record

    def _asked(self, key_digest: bytes, question: asyncio.Task[Caller]) -> None:
        del self._questions[key_digest]
        if not question.cancelled():
            question.exception()  # whoever asked may have left; the answer counts as heard


def judge_record(record: KeyRecord, now_ms: int) -> Caller:
    """Whoever the credential is of. Raises Unauthenticated where it does not count at this time."""
    key_id = record.caller.key_id
    if not record.active:
        raise Unauthenticated(cause=f"key {key_id} is deactivated")
    if record.expires_at is not None and record.expires_at <= now_ms:
        raise Unauthenticated(cause=f"key {key_id} has expired")
    if not record.license_active:
        raise Unauthenticated(cause=f"licence {record.caller.license_id} is deactivated")
    if record.issuer is not None:
        _judge_issuer(record.issuer, key_id, now_ms)
    return record.caller


def _judge_issuer(issuer: Issuer, key_id: str, now_ms: int) -> None:
    if issuer.revoked:
        raise Unauthenticated(cause=f"the token of key {key_id} is revoked")
    if not issuer.active:
        raise Unauthenticated(cause=f"public key {issuer.public_key_id} is deactivated")
    if issuer.expires_at is not None and issuer.expires_at <= now_ms:
        raise Unauthenticated(cause=f"public key {issuer.public_key_id} has expired")


def _bearer(authorization: str | None) -> str:
    """The key or token in the header. Raises Unauthenticated for whatever cannot be one."""
    if authorization is None:
        raise Unauthenticated(cause="no Authorization header")
    if len(authorization) > _LONGEST_WITH_TOKEN:
        raise Unauthenticated(cause="the Authorization header is too long")
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated(cause="the Authorization header is not Bearer")
    if not credential.isascii():
        raise Unauthenticated(cause="neither a key of ours nor a token")
    if credential.startswith(PREFIX):
        if len(authorization) > _LONGEST:
            raise Unauthenticated(cause="the Authorization header is too long for a key")
    elif not looks_like_token(credential):
        raise Unauthenticated(cause="neither a key of ours nor a token")
    return credential


def _remember(memory: dict[bytes, T], key_digest: bytes, what: T) -> None:
    """As the newest; the oldest makes room."""
    memory.pop(key_digest, None)
    if len(memory) >= _REMEMBERED:
        del memory[next(iter(memory))]
    memory[key_digest] = what
