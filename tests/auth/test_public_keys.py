import json
from base64 import b64encode

import pytest
from campus import base64url, private_key, public_key
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from quantized.auth.public_keys import LONGEST, UnfitKey, from_pem, read_public_key

KEY = public_key(1)
RAW = KEY.public_bytes_raw()
X = base64url(RAW)
PEM = KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
P = 2**255 - 19
D = -121_665 * pow(121_666, -1, P) % P


def jwk(**members: object) -> str:
    return json.dumps({"kty": "OKP", "crv": "Ed25519", "x": X, **members})


def pem_of(key: object) -> str:
    spki = PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.PEM, spki).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        PEM, f"\n\n  {PEM}\n", PEM.replace("\n", "\r\n"), jwk(),
        jwk(use="sig", alg="EdDSA", kid="a"),
        b64encode(RAW).decode(), b64encode(RAW).decode().rstrip("="), X, f" {X}\n",
    ],
)  # fmt: skip
def test_a_key_is_the_same_in_every_form(text: str) -> None:
    given_key = read_public_key(text)
    assert given_key.pem == PEM
    assert from_pem(given_key.pem) == KEY
    assert given_key.kid == ("a" if "kid" in text else None)


def private_pem(key: object) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [private_pem(private_key(1)), jwk(d=X), jwk(d="")])
def test_a_private_key_is_sent_back_to_who_should_keep_it(text: str) -> None:
    with pytest.raises(UnfitKey, match="private key") as refused:
        read_public_key(text)
    assert X not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (pem_of(rsa.generate_private_key(65537, 2048)), "only Ed25519"),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), "only Ed25519"),
        (pem_of(ed448.Ed448PrivateKey.generate()), "only Ed25519"),
        (jwk(kty="EC"), "only Ed25519"),
        (jwk(crv="X25519"), "only Ed25519"),
        (jwk(use="enc"), "not for signatures"),
        (jwk(x=7), "must be a text"),
        (jwk(x=None), "must be a text"),
        *((jwk(kid=kid), '"kid" must be') for kid in (7, "", "a\x00b", "a\nb", "Zoë", "\ud800", "x" * 201)),
        (json.dumps({"keys": [json.loads(jwk())]}), "one by one"),
        ("{", "no JSON"),
        ('{"a":' * 3_000, "no JSON"),
        (jwk(x=X[:-1]), "no public key"),
        ("", "no public key"),
        ("ssh-ed25519 AAAA", "no public key"),
        (X + "AAAA", "no public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "only Ed25519"),
        ("-----BEGIN PUBLIC KEY-----\nAAA\n-----END PUBLIC KEY-----\n", "no public key in PEM"),
        (PEM + PEM, "no public key in PEM"),
        (PEM.replace("MCow", "MCox"), "only Ed25519"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no public key in PEM"),
        ("x" * (LONGEST + 1), "too long"),
    ],
)
def test_what_is_no_key_is_told_apart(text: str, says: str) -> None:
    with pytest.raises(UnfitKey, match=says):
        read_public_key(text)


Point = tuple[int, int]


def add(one: Point, two: Point) -> Point:
    (x1, y1), (x2, y2) = one, two
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P


def points_at(y: int) -> list[Point]:
    """The points of the curve with this y, by the formula of the field's square roots."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    return [(root, y), (-root % P, y)] if root * root % P == square else []


def eightfold(point: Point) -> Point:
    for _ in range(3):
        point = add(point, point)
    return point


def spelled(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def judged(raw: bytes) -> str | None:
    """Why the bytes are refused; None where they are not."""
    try:
        read_public_key(base64url(raw))
    except UnfitKey as unfit:
        return str(unfit)
    return None


def torsion() -> set[int]:
    """The y of all points of small order: multiples of one of order 8, found by clearing a point's other
    part."""
    y, found = 2, set()
    order = 2**252 + 27742317777372353535851937790883648493
    while len(found) < 5:
        for point in points_at(y):
            multiple, double, bits = (0, 1), point, order
            while bits:
                multiple = add(multiple, double) if bits & 1 else multiple
                double, bits = add(double, double), bits >> 1
            each = multiple
            for _ in range(8):
                found.add(each[1])
                each = add(each, multiple)
        y += 1
    return found


def test_every_point_of_small_order_is_refused() -> None:
    small = torsion()
    assert len(small) == 5
    for y in small:
        assert all(eightfold(point) == (0, 1) for point in points_at(y))
        for sign in (0, 1):
            assert "weak key" in str(judged(spelled(y, sign)))
            if y + P < 2**255:
                assert "no point" in str(judged(spelled(y + P, sign)))


def test_the_library_would_let_anybody_sign_for_a_weak_key() -> None:
    """Why we look for ourselves."""
    identity = Ed25519PublicKey.from_public_bytes(spelled(1))
    identity.verify(spelled(1) + bytes(32), b"anything at all")


@settings(max_examples=60)
@given(st.binary(min_size=32, max_size=32))
def test_what_is_no_point_is_no_key(raw: bytes) -> None:
    y = int.from_bytes(raw, "little") & ~(1 << 255)
    said = judged(raw)
    if y >= P or not points_at(y):
        assert "no point" in str(said)
    else:
        assert said is None or all(eightfold(point) == (0, 1) for point in points_at(y))
