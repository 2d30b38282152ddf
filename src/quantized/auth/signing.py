"""The other side of a signed token: what an institution does. For administrators who try it, and for tests;
the gateway itself never signs."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from quantized.auth.public_keys import UnfitKey


def mint_private_key() -> str:
    """A new Ed25519 key, in PEM (PKCS #8)."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def read_private_key(pem: str) -> Ed25519PrivateKey:
    """Raises UnfitKey."""
    try:
        key = load_pem_private_key(pem.encode(), None)
    except TypeError as error:
        raise UnfitKey("the private key is encrypted; decrypt it first") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnfitKey("that is no private key in PEM (-----BEGIN PRIVATE KEY-----)") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UnfitKey("only Ed25519 keys sign tokens; make one with: quantized jwt keygen")
    return key


def public_half(key: Ed25519PrivateKey) -> str:
    """The public key's 32 bytes in base64."""
    return b64encode(key.public_key().public_bytes_raw()).decode("ascii")


def sign_token(claims: Mapping[str, object], key: Ed25519PrivateKey, kid: str | None = None) -> str:
    header = {"alg": "EdDSA", "typ": "JWT"} | ({} if kid is None else {"kid": kid})
    signed = b".".join(_base64url(msgspec.json.encode(part)) for part in (header, claims))
    return b".".join((signed, _base64url(key.sign(signed)))).decode("ascii")


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
