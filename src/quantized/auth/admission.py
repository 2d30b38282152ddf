"""A signed token's first use: judged, and from then on known by its digest like any key."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from msgspec import UNSET, UnsetType

from quantized.auth.jwt import (
    Claims,
    SignedToken,
    VerificationKey,
    candidates,
    is_signed,
    judge_times,
    wrong_signature,
)
from quantized.auth.public_keys import from_pem
from quantized.core.errors import LedgerUnavailable, Unauthenticated
from quantized.core.ids import mint_id
from quantized.core.ports import Clock
from quantized.storage.tokens import FirstUse, PendingCredits, TokenIssuer, TokenTerms

T = TypeVar("T")


class TokenStore(Protocol):
    """As `storage.tokens.SqlTokenStore` says."""

    def issuer(
        self, institution: str, license_type: str, jti: str | None, now: int
    ) -> Awaitable[TokenIssuer | None]: ...
    def admit(self, use: FirstUse) -> Awaitable[PendingCredits | None]: ...


Grant = Callable[[PendingCredits], Awaitable[None]]
"""Gives a licence what it begins with; saying it again changes nothing. Raises LedgerUnavailable."""


class Admission:
    def __init__(self, store: TokenStore, grant: Grant, clock: Clock) -> None:
        self._store = store
        self._grant = grant
        self._clock = clock
        # One at a time: a flood of wrong tokens waits for itself, and all others for one try of it.
        self._verifying = asyncio.Lock()

    async def admit(self, token: SignedToken, digest: bytes) -> None:
        """Afterwards the token, whose SHA-256 is `digest`, has a key and its licence what it begins with. All
        steps may be said again, by any process, and also where an earlier one did not get to their end.

        Raises Unauthenticated, LedgerUnavailable.
        """
        now = self._clock.now_ms()
        claims = token.claims
        issuer = await self._store.issuer(
            claims.institution_id, claims.license_type_id, _said(claims.jti), now
        )
        if issuer is None:
            raise no_institution(claims)
        async with self._verifying:
            key = await signer(token, issuer)
        use = first_use(digest, claims, key.id, judge_claims(claims, issuer, now), now)
        pending = await self._store.admit(use)
        if pending is None:
            return
        await self._grant(pending)
        if await self._store.admit(use) is not None:
            raise LedgerUnavailable(cause=f"licence {pending.license_id} was granted nothing to begin with")


def no_institution(claims: Claims) -> Unauthenticated:
    return Unauthenticated(cause=f"token: there is no institution {claims.institution_id!a}")


async def signer(token: SignedToken, issuer: TokenIssuer) -> VerificationKey:
    """The issuer's key that signed the token. Raises Unauthenticated.

    Each try takes a fraction of a millisecond, and whatever else is due is done between two of them.
    """
    keys = [VerificationKey(key.id, key.kid, from_pem(key.pem)) for key in issuer.keys]
    for key in candidates(token, keys):
        if is_signed(token, key):
            return key
        await asyncio.sleep(0)
    raise wrong_signature()


def judge_claims(claims: Claims, issuer: TokenIssuer, now: int) -> TokenTerms:
    """Whether the claims of a token that was signed count, for what its issuer is. Raises Unauthenticated."""
    judge_times(claims, now)
    if issuer.revoked:
        raise Unauthenticated(cause=f"token: its jti {claims.jti!a} is revoked")
    if issuer.terms is None:
        raise Unauthenticated(cause=f"token: the institution has no licence type {claims.license_type_id!a}")
    _judge_wishes(claims, issuer.terms)
    return issuer.terms


def _judge_wishes(claims: Claims, terms: TokenTerms) -> None:
    """Raises Unauthenticated for what the licence type does not let a token claim: to go on without it would
    give other credits or more models than whoever signed it meant."""
    if claims.models is not UNSET and not terms.narrows_models:
        raise Unauthenticated(cause="token: its licence type does not allow the claim 'models'")
    if claims.allowance is UNSET:
        return
    if terms.allowance is None:
        raise Unauthenticated(cause="token: its licence type does not allow the claim 'allowance'")
    if claims.allowance > terms.allowance:
        raise Unauthenticated(
            cause=f"token: its allowance {claims.allowance} is above its licence type's {terms.allowance}"
        )


def first_use(digest: bytes, claims: Claims, public_key_id: str, terms: TokenTerms, now: int) -> FirstUse:
    allowance = _said(claims.allowance)
    return FirstUse(
        digest=digest,
        public_key_id=public_key_id,
        license_type_id=terms.id,
        key_id=mint_id("key", now),
        unique_id=_said(claims.unique_id),
        user_id=_said(claims.user_id),
        salt=_said(claims.salt),
        jti=_said(claims.jti),
        expires_at=claims.expires_at,
        models=_said(claims.models),
        credits=terms.default_credits if allowance is None else allowance,
        # Credits that are claimed make a limited licence of an unlimited type, too.
        unlimited=terms.unlimited and allowance is None,
        now=now,
    )


def _said(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value
