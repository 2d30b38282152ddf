"""An institution's public key, in whatever form it is handed over, judged before it is trusted.

Only Ed25519, and only keys that a signature proves something for: a point of small order verifies signatures
that nobody made, and the library does not refuse it.
"""

import binascii
import json
import re
from base64 import b64decode, b64encode
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

LONGEST = 16_384
"""Characters of a key in any form."""

_P = 2**255 - 19
_D = -121_665 * pow(121_666, -1, _P) % _P
_SIGN = 1 << 255
_EIGHTH = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset({1, _P - 1, 0, _EIGHTH, _P - _EIGHTH})
"""The y-coordinates of the points whose order is 1, 2, 4 and 8."""
_DER = bytes.fromhex("302a300506032b6570032100")
"""What stands before an Ed25519 key's 32 bytes, in DER."""
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_RAW = re.compile(r"[A-Za-z0-9+/_-]{43}=?")
_KID = re.compile(r"[!-~]{1,200}")


class UnfitKey(ValueError):
    """The key cannot be registered; the message says why, for an administrator."""


class GivenKey(Struct, frozen=True):
    """`pem` in the one form in which keys are stored; `kid` where the key brought one."""

    pem: str
    kid: str | None


def read_public_key(text: str) -> GivenKey:
    """From PEM, a JWK, or the 32 bytes in base64 or base64url. Raises UnfitKey."""
    text = text.strip()
    if len(text) > LONGEST:
        raise UnfitKey("that is too long for a public key")
    if text.startswith("{"):
        raw, kid = _from_jwk(text)
    else:
        raw, kid = _from_pem(text) if text.startswith("-----BEGIN ") else _from_base64(text), None
    _require_strong(raw)
    return GivenKey(to_pem(raw), kid)


def to_pem(raw: bytes) -> str:
    """The 32 bytes of a key, as they are stored."""
    return f"-----BEGIN PUBLIC KEY-----\n{b64encode(_DER + raw).decode()}\n-----END PUBLIC KEY-----\n"


@lru_cache(1_024)
def from_pem(pem: str) -> Ed25519PublicKey:
    """A key as it is stored. Raises UnfitKey."""
    return Ed25519PublicKey.from_public_bytes(_from_pem(pem))


def _from_jwk(text: str) -> tuple[bytes, str | None]:
    try:
        jwk = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnfitKey("that begins like a JWK, but is no JSON") from error
    if "keys" in jwk:
        raise UnfitKey("that is a set of keys (JWKS); register its keys one by one")
    if "d" in jwk:
        raise UnfitKey(_PRIVATE)
    if (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519"):
        raise UnfitKey('only Ed25519 is accepted: a JWK with "kty": "OKP" and "crv": "Ed25519"')
    if jwk.get("use", "sig") != "sig":
        raise UnfitKey('the JWK is not for signatures: its "use" is not "sig"')
    x, kid = jwk.get("x"), jwk.get("kid")
    if not isinstance(x, str):
        raise UnfitKey('the JWK\'s "x" must be a text')
    if kid is not None and not (isinstance(kid, str) and _KID.fullmatch(kid)):
        raise UnfitKey('the JWK\'s "kid" must be 1 to 200 printable ASCII characters without spaces')
    return _from_base64(x), kid


_PRIVATE = (
    "that is a private key: whoever has it can sign in your name, so keep it to yourself and "
    "register its public half"
)


def _from_pem(text: str) -> bytes:
    if "PRIVATE KEY" in text:
        raise UnfitKey(_PRIVATE)
    block = _PEM.fullmatch(text.strip())
    try:
        der = None if block is None else b64decode("".join(block[1].split()), validate=True)
    except binascii.Error:
        der = None
    if der is None:
        raise UnfitKey("that is no public key in PEM (-----BEGIN PUBLIC KEY-----)")
    # Of DER there is one spelling, so that all these keys begin alike.
    if len(der) != len(_DER) + 32 or not der.startswith(_DER):
        raise UnfitKey("only Ed25519 keys are accepted; make one with: quantized jwt keygen")
    return der[len(_DER) :]


def _from_base64(text: str) -> bytes:
    if not _RAW.fullmatch(text):
        raise UnfitKey("that is no public key: give PEM, a JWK, or the 32 bytes in base64")
    try:
        return b64decode(text.rstrip("=").replace("-", "+").replace("_", "/") + "=", validate=True)
    except binascii.Error as error:
        raise UnfitKey("that is no base64") from error


def _require_strong(raw: bytes) -> None:
    """Raises UnfitKey unless the bytes are the one spelling of a point of the curve that generates signatures
    worth the name."""
    y = int.from_bytes(raw, "little") & ~_SIGN
    if y >= _P or not _on_curve(y):
        raise UnfitKey("that is no point of the curve Ed25519: a character may be wrong or missing")
    if y in _SMALL_ORDER:
        raise UnfitKey("that is a weak key, for which anybody can make signatures")


def _on_curve(y: int) -> bool:
    """Whether there is an x: whether x² = (y² - 1) / (dy² + 1) is a square."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return pow(square, (_P - 1) // 2, _P) in (0, 1)
