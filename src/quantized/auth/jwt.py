"""Tokens that an institution signs: JWS in its compact form, Ed25519 and nothing else.

The header is not asked how to verify: whatever it says, the signature is judged as Ed25519 by a registered
key, or the token is refused. Nothing that a header points to is ever fetched, and of a key it may only say
the name. Pure: (token, keys, now) to claims, or `Unauthenticated` with a cause for the log.

A token has one spelling. Padding, spare bits in base64 and members given twice are refused, so that whoever
holds a token cannot make a second one of it.
"""

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import UNSET, Meta, Struct, UnsetType

from quantized.core.errors import Unauthenticated
from quantized.core.nesting import is_deeper

T = TypeVar("T", bound=Struct)

MOST_CHARACTERS = 8_192
"""Of a token."""

LEEWAY_MS = 30_000
"""By how much the issuer's clock may be ahead of ours, for `nbf` and `iat`. `exp` is exact."""

_MOST_LEVELS = 64
"""Of arrays and objects inside each other."""

_ALGORITHM = "EdDSA"
_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})")
_PRINTABLE = r"\A[^\x00-\x1f\x7f-\x9f]*\Z"

# The end of the year 9999. Whoever tells milliseconds for seconds is beyond it, and must not get a token that
# lasts for ages.
_Time = Annotated[int, Meta(ge=0, le=253_402_300_799)] | Annotated[float, Meta(ge=0, le=253_402_300_799)]
_Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=_PRINTABLE)]
_Pattern = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[!-~]+\Z")]


class Header(Struct, frozen=True):
    """What else it holds is not looked at."""

    alg: str
    typ: str | UnsetType = UNSET
    kid: _Text | UnsetType = UNSET
    crit: msgspec.Raw | UnsetType = UNSET


class Claims(Struct, frozen=True):
    """Times are Unix seconds. `allowance` is in micro-credits, `models` are patterns as in
    `core.ports.Terms`. What else a token claims is the institution's own and is not looked at."""

    institution_id: _Text
    license_type_id: _Text
    unique_id: _Text | UnsetType = UNSET
    user_id: _Text | UnsetType = UNSET
    exp: _Time | UnsetType = UNSET
    nbf: _Time | UnsetType = UNSET
    iat: _Time | UnsetType = UNSET
    salt: Annotated[str, Meta(max_length=200, pattern=_PRINTABLE)] | UnsetType = UNSET
    jti: _Text | UnsetType = UNSET
    allowance: Annotated[int, Meta(ge=0, le=10**15)] | UnsetType = UNSET
    models: Annotated[tuple[_Pattern, ...], Meta(min_length=1, max_length=64)] | UnsetType = UNSET

    @property
    def expires_at(self) -> int | None:
        """Unix milliseconds."""
        return None if self.exp is UNSET else int(self.exp * 1_000)


class SignedToken(Struct, frozen=True):
    """A token as it reads. Nothing in it is true before `verify` has said so."""

    kid: str | None
    claims: Claims
    signed: bytes
    signature: bytes


class VerificationKey(Struct, frozen=True):
    """`id` is its own, `kid` what tokens call it."""

    id: str
    kid: str | None
    key: Ed25519PublicKey


_header = msgspec.json.Decoder(Header)
_claims = msgspec.json.Decoder(Claims)


def looks_like_token(credential: str) -> bool:
    return credential.count(".") == 2


def read_token(token: str) -> SignedToken:
    """Raises Unauthenticated for what is no token that could be verified."""
    if len(token) > MOST_CHARACTERS:
        raise _refused("it is too long")
    form = _FORM.fullmatch(token)
    if form is None:
        raise _refused("it is not three parts of base64url with a signature of 64 bytes")
    header = _decode(form[1], _header, "header")
    if header.alg != _ALGORITHM:
        raise _refused(f"its algorithm is {_shown(header.alg)}, and only {_ALGORITHM} is accepted")
    if header.typ is not UNSET and header.typ.lower() != "jwt":
        raise _refused(f"its type is {_shown(header.typ)}, not JWT")
    if header.crit is not UNSET:
        raise _refused("its header demands extensions (crit)")
    claims = _decode(form[2], _claims, "claims")
    signed = token[: form.end(2)].encode("ascii")
    return SignedToken(None if header.kid is UNSET else header.kid, claims, signed, _base64(form[3]))


def verify(token: SignedToken, keys: Sequence[VerificationKey], now_ms: int) -> VerificationKey:
    """The key that signed it, where that is one of `keys` and the token is valid at this time. Raises
    Unauthenticated."""
    for key in candidates(token, keys):
        if is_signed(token, key):
            judge_times(token.claims, now_ms)
            return key
    raise wrong_signature()


def candidates(token: SignedToken, keys: Sequence[VerificationKey]) -> list[VerificationKey]:
    """Those of `keys` that may have signed it. Raises Unauthenticated where there is none."""
    found = [key for key in keys if token.kid in (None, key.kid)]
    if found:
        return found
    if token.kid is None:
        raise _refused("its institution has no public key that is in use")
    raise _refused(f"its kid {_shown(token.kid)} names no public key of its institution that is in use")


def is_signed(token: SignedToken, key: VerificationKey) -> bool:
    try:
        key.key.verify(token.signature, token.signed)
    except InvalidSignature:
        return False
    return True


def wrong_signature() -> Unauthenticated:
    return _refused("its signature is wrong")


def judge_times(claims: Claims, now_ms: int) -> None:
    """Raises Unauthenticated unless the claims count at this time."""
    if claims.expires_at is not None and claims.expires_at <= now_ms:
        raise _refused("it has expired")
    for name, time in (("nbf", claims.nbf), ("iat", claims.iat)):
        if time is not UNSET and time * 1_000 > now_ms + LEEWAY_MS:
            raise _refused(f"it is not valid yet ({name})")


def _decode(part: str, decoder: msgspec.json.Decoder[T], what: str) -> T:
    """One part of the token as its struct. Raises Unauthenticated."""
    data = _base64(part)
    try:
        # The typed decoder takes the last of two members of one name, and reads past what it does not know.
        said = json.loads(data.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_no_number)
        if is_deeper(said, _MOST_LEVELS):
            raise ValueError(f"more than {_MOST_LEVELS} arrays and objects inside each other")
        return decoder.decode(data)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise _refused(f"its {what} cannot be read: {_shown(str(error), 200)}") from error


def _base64(part: str) -> bytes:
    """Raises Unauthenticated unless `part` is how these bytes are spelled."""
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise _refused("it is not base64url") from error
    if urlsafe_b64encode(data).rstrip(b"=") != part.encode("ascii"):
        raise _refused("its base64url is not canonical")
    return data


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member is given more than once")
    return found


def _no_number(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def _shown(text: str, longest: int = 60) -> str:
    return ascii(text[:longest])


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(cause=f"token: {why}")
