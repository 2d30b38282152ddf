"""Tokens that others signed: two Python libraries now, and once npm's jose, PHP's sodium, openssl and
golang-jwt."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import jwt
import pytest
from campus import CAMPUS
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from quantized.auth.jwt import SignedToken, VerificationKey, read_token, verify
from quantized.auth.public_keys import from_pem, read_public_key
from quantized.core.errors import Unauthenticated

NOW = 1_760_000_000_000
FOREIGN = Path(__file__).parent / "foreign"
PRIVATE = (FOREIGN / "key.pem").read_text()
FULL: Mapping[str, object] = {
    **CAMPUS,
    "unique_id": "biology-101",
    "user_id": "zoë@uni.example",
    "exp": 4_102_444_800,
    "nbf": 1_700_000_000,
    "iat": 1_700_000_000,
    "salt": "s",
    "jti": "t-1",
    "allowance": 2_500_000,
    "models": ["openai/*", "quantized/demo"],
    "campus_role": {"any": ["thing", None, 1.5]},
}


def by_pyjwt(claims: Mapping[str, object], header: Mapping[str, str]) -> str:
    return jwt.encode(dict(claims), PRIVATE, algorithm="EdDSA", headers=dict(header))


def by_joserfc(claims: Mapping[str, object], header: Mapping[str, str]) -> str:
    registry = JWSRegistry(algorithms=["EdDSA"])
    key = OKPKey.import_key(PRIVATE)
    return joserfc_jwt.encode({"alg": "EdDSA", **header}, dict(claims), key, registry=registry)


@pytest.fixture(params=["pyjwt", "joserfc", "jose", "sodium", "openssl", "golang"])
def tokens(request: pytest.FixtureRequest) -> Mapping[str, str]:
    signing: dict[str, Callable[..., str]] = {"pyjwt": by_pyjwt, "joserfc": by_joserfc}
    sign = signing.get(request.param)
    if sign is None:
        found: Mapping[str, str] = json.loads((FOREIGN / f"{request.param}.json").read_text())
        return found
    return {"least": sign(CAMPUS, {}), "kid": sign(CAMPUS, {"kid": "2026"}), "full": sign(FULL, {})}


def accepted(token: str) -> SignedToken:
    given = read_public_key((FOREIGN / "public.pem").read_text())
    read = read_token(token)
    assert verify(read, [VerificationKey("pub", "2026", from_pem(given.pem))], NOW).id == "pub"
    return read


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_the_least_and_with_a_name_of_its_key(tokens: Mapping[str, str]) -> None:
    assert accepted(tokens["least"]).kid is None
    assert accepted(tokens["kid"]).kid == "2026"


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_everything_that_can_be_claimed(tokens: Mapping[str, str]) -> None:
    claims = accepted(tokens["full"]).claims
    assert claims.user_id == "zoë@uni.example"
    assert claims.expires_at == 4_102_444_800_000
    assert (claims.unique_id, claims.jti, claims.salt) == ("biology-101", "t-1", "s")
    assert (claims.allowance, claims.models) == (2_500_000, ("openai/*", "quantized/demo"))


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_none_of_them_by_another_key(tokens: Mapping[str, str]) -> None:
    other = VerificationKey("other", "2026", Ed25519PrivateKey.generate().public_key())
    for token in tokens.values():
        with pytest.raises(Unauthenticated):
            verify(read_token(token), [other], NOW)


def test_the_public_key_of_the_foreign_tokens_is_that_of_their_private_one() -> None:
    private = load_pem_private_key(PRIVATE.encode(), None)
    assert isinstance(private, Ed25519PrivateKey)
    assert from_pem((FOREIGN / "public.pem").read_text()) == private.public_key()
