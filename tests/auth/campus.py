"""A campus that signs, as tests need it: with every freedom that a real one, or a forger, has."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CAMPUS: Mapping[str, object] = {"institution_id": "uni", "license_type_id": "course"}
HEADER: Mapping[str, object] = {"alg": "EdDSA", "typ": "JWT"}


def private_key(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big"))


def public_key(seed: int) -> Ed25519PublicKey:
    return private_key(seed).public_key()


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def encoded(value: object) -> str:
    """Bytes as they are, everything else as JSON."""
    return base64url(value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode())


def sign(claims: object = CAMPUS, header: object = HEADER, *, seed: int = 1) -> str:
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{base64url(private_key(seed).sign(signed.encode()))}"


def campus(**claims: object) -> dict[str, object]:
    return {**CAMPUS, **claims}
