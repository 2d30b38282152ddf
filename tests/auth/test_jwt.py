import hmac
import json
from base64 import urlsafe_b64decode

import pytest
from campus import CAMPUS, HEADER, base64url, campus, encoded, public_key, sign
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from quantized.auth.jwt import (
    LEEWAY_MS,
    MOST_CHARACTERS,
    SignedToken,
    VerificationKey,
    read_token,
    verify,
)
from quantized.core.errors import Unauthenticated

NOW = 1_760_000_000_000
SECONDS = NOW // 1_000
ORDER = 2**252 + 27742317777372353535851937790883648493
KEYS = [VerificationKey("pub-1", None, public_key(1)), VerificationKey("pub-2", "second", public_key(2))]


def judged(token: str, keys: list[VerificationKey] = KEYS, now: int = NOW) -> SignedToken:
    read = read_token(token)
    verify(read, keys, now)
    return read


def refusal(token: str, keys: list[VerificationKey] = KEYS) -> str:
    with pytest.raises(Unauthenticated) as refused:
        judged(token, keys)
    assert refused.value.message == "Invalid API key"
    cause = str(refused.value.cause)
    signature = token.rpartition(".")[2]
    assert cause.startswith("token: ")
    assert len(signature) < 20 or signature not in cause
    assert len(cause) < 300
    return cause


def test_the_least_token_says_who_and_which_type() -> None:
    claims = judged(sign()).claims
    assert (claims.institution_id, claims.license_type_id) == ("uni", "course")
    assert claims.expires_at is None


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "EdDSA"},
        {"alg": "EdDSA", "typ": "jwt"},
        {"typ": "JWT", "alg": "EdDSA", "x5t": "anything", "jku": "http://127.0.0.1:1/keys", "b64": False},
    ],
)
def test_what_a_header_says_beyond_what_counts_is_not_looked_at(header: object) -> None:
    assert judged(sign(header=header)).kid is None


def test_a_key_in_the_header_is_nobodys() -> None:
    forged = {
        **HEADER,
        "jwk": {"kty": "OKP", "crv": "Ed25519", "x": base64url(public_key(3).public_bytes_raw())},
        "x5c": ["MA=="],
    }
    assert refusal(sign(header=forged, seed=3)) == "token: its signature is wrong"


def test_every_key_is_tried_unless_the_token_names_one() -> None:
    for seed, key_id in ((1, "pub-1"), (2, "pub-2")):
        assert verify(read_token(sign(seed=seed)), KEYS, NOW).id == key_id
    named = read_token(sign(header={**HEADER, "kid": "second"}, seed=2))
    assert verify(named, KEYS, NOW).id == "pub-2"
    assert "signature" in refusal(sign(header={**HEADER, "kid": "second"}, seed=1))
    assert "kid 'third' names no" in refusal(sign(header={**HEADER, "kid": "third"}, seed=1))
    assert "no public key that is in use" in refusal(sign(), [])


def test_times_count_to_the_millisecond() -> None:
    token = read_token(sign(campus(exp=SECONDS)))
    assert verify(token, KEYS, NOW - 1).id == "pub-1"
    with pytest.raises(Unauthenticated, match="Invalid API key") as refused:
        verify(token, KEYS, NOW)
    assert refused.value.cause == "token: it has expired"
    assert judged(sign(campus(exp=SECONDS + 0.25))).claims.expires_at == NOW + 250


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_an_issuers_clock_may_be_a_little_ahead(name: str) -> None:
    leeway = LEEWAY_MS // 1_000
    judged(sign(campus(**{name: SECONDS + leeway})))
    assert refusal(sign(campus(**{name: SECONDS + leeway + 1}))) == f"token: it is not valid yet ({name})"


def test_the_past_needs_no_leeway_and_claims_of_the_campus_are_its_own() -> None:
    claims = judged(sign(campus(nbf=0, iat=1, roles={"a": [None, 1.5]}, name=None, sub=3))).claims
    assert (claims.nbf, claims.iat) == (0, 1)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "HS256", "ES256", "Ed25519", "Ed448", "eddsa", ""]
)
def test_no_other_algorithm_is_accepted_even_with_a_right_signature(algorithm: str) -> None:
    assert "its algorithm is" in refusal(sign(header={"alg": algorithm, "typ": "JWT"}))
    unsigned = f"{encoded({'alg': algorithm})}.{encoded(CAMPUS)}."
    assert refusal(unsigned)


@pytest.mark.parametrize(
    "header", [{}, {"typ": "JWT"}, {"alg": None}, {"alg": ["EdDSA"]}, {"alg": 1}, [], "EdDSA", None]
)
def test_a_header_without_an_algorithm_is_none(header: object) -> None:
    assert "header cannot be read" in refusal(sign(header=header))


def secrets_of_the_public_key() -> dict[str, bytes]:
    key = public_key(1)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "pem": pem,
        "pem without end": pem.rstrip(),
        "der": key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "raw": key.public_bytes_raw(),
        "base64url": base64url(key.public_bytes_raw()).encode(),
    }


@pytest.mark.parametrize("form", list(secrets_of_the_public_key()))
@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "EdDSA"])
def test_the_public_key_is_no_secret_to_sign_with(form: str, algorithm: str) -> None:
    signed = f"{encoded({'alg': algorithm, 'typ': 'JWT'})}.{encoded(CAMPUS)}"
    secret = secrets_of_the_public_key()[form]
    for name in ("sha256", "sha512"):
        mac = hmac.digest(secret, signed.encode(), name)
        assert refusal(f"{signed}.{base64url(mac)}")


def test_another_key_and_altered_claims_are_refused() -> None:
    assert "signature is wrong" in refusal(sign(seed=9))
    header, claims, signature = sign().split(".")
    assert "signature is wrong" in refusal(f"{header}.{encoded(campus(unique_id='other'))}.{signature}")
    assert "signature is wrong" in refusal(f"{encoded({'alg': 'EdDSA'})}.{claims}.{signature}")
    other = sign(campus(unique_id="x")).split(".")
    assert "signature is wrong" in refusal(f"{header}.{claims}.{other[2]}")


def test_a_signature_has_no_second_form() -> None:
    """S + L verifies with a careless library."""
    signed, _, signature = sign().rpartition(".")
    raw = urlsafe_b64decode(signature + "==")
    for multiple in (1, 2, 8):
        s = int.from_bytes(raw[32:], "little") + multiple * ORDER
        assert "signature is wrong" in refusal(f"{signed}.{base64url(raw[:32] + s.to_bytes(32, 'little'))}")
    negated = raw[:31] + bytes([raw[31] ^ 0x80]) + raw[32:]
    assert "signature is wrong" in refusal(f"{signed}.{base64url(negated)}")
    assert "signature is wrong" in refusal(f"{signed}.{base64url(bytes(64))}")


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token + ".",
        lambda token: "." + token,
        lambda token: token + "=",
        lambda token: token + "==",
        lambda token: token + "\n",
        lambda token: token + " ",
        lambda token: token.replace(".", ". ", 1),
        lambda token: token.replace(".", "..", 1),
        lambda token: token.replace(".", "=.", 1),
        lambda token: token.replace(".", "．", 1),
        lambda token: token.replace("e", "е", 1),
        lambda token: token.replace("e", "\u212e", 1),
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token.rpartition(".")[0],
        lambda token: token + "." + token,
        lambda token: token + ".A.A",
        lambda token: token.replace("-", "+").replace("_", "/"),
        lambda token: "",
        lambda token: "..",
        lambda token: "a.b.c",
        lambda token: "\x00" + token,
    ],
)  # fmt: skip
def test_a_token_has_one_spelling(change: object) -> None:
    token = sign(campus(salt=">>>???~~~"))  # holds - or _ in base64url
    assert "-" in token or "_" in token
    judged(token)
    assert callable(change)
    assert refusal(change(token))


def test_spare_bits_of_base64_are_zero() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = sign()
    last = alphabet.index(token[-1])
    assert last % 16 == 0
    for spare in range(1, 16):
        assert refusal(token[:-1] + alphabet[last + spare]) == "token: its base64url is not canonical"


def signed_claims(text: str | bytes) -> str:
    return sign(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": "1760000999"}, {"exp": True}, {"exp": None}, {"exp": [1]}, {"exp": -1}, {"exp": -0.5},
        {"exp": 10**13},
        {"exp": 10**30}, {"exp": 10**400}, {"exp": 1e300}, {"exp": {}}, {"exp": SECONDS * 1_000},
        {"nbf": "0"}, {"nbf": None}, {"iat": False}, {"iat": "1"},
        {"unique_id": 7}, {"unique_id": None}, {"unique_id": ""}, {"unique_id": "x" * 201},
        {"unique_id": ["a"]},
        {"unique_id": "a\nb"}, {"unique_id": "a\n"}, {"unique_id": "\x00"}, {"unique_id": "\x9b2J"},
        {"user_id": 1}, {"user_id": ""}, {"user_id": "u" * 201}, {"salt": 5}, {"salt": "s" * 201},
        {"jti": 1}, {"jti": ""}, {"jti": None},
        {"institution_id": None}, {"institution_id": 1}, {"institution_id": ""}, {"institution_id": ["uni"]},
        {"license_type_id": None}, {"license_type_id": True}, {"license_type_id": {"id": "course"}},
        {"allowance": -1}, {"allowance": 1.5}, {"allowance": 1.0}, {"allowance": "5"}, {"allowance": True},
        {"allowance": 10**15 + 1}, {"allowance": None},
        {"models": "openai/*"}, {"models": []}, {"models": [1]}, {"models": [""]}, {"models": ["a b"]},
        {"models": ["a\n"]}, {"models": ["m"] * 65}, {"models": None}, {"models": {"a": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_a_claim_of_another_type_is_refused(changed: dict[str, object]) -> None:
    assert "claims cannot be read" in refusal(sign(campus(**changed)))


@pytest.mark.parametrize("left_out", CAMPUS)
def test_the_two_claims_that_have_to_be_there(left_out: str) -> None:
    assert left_out in refusal(sign({name: value for name, value in CAMPUS.items() if name != left_out}))


@pytest.mark.parametrize(
    "text",
    [
        '{"institution_id":"uni","institution_id":"uni","license_type_id":"course"}',
        '{"institution_id":"other","license_type_id":"course","institution_id":"uni"}',
        '{"institution_id":"uni","license_type_id":"course","exp":4102444800,"exp":4102444801}',
        '{"institution_id":"uni","license_type_id":"course","own":{"a":1,"a":1}}',
        '{"institution_id":"uni","license_type_id":"course","\\u0065xp":1,"exp":4102444800}',
        '{"institution_id":"uni","license_type_id":"course","exp":NaN}',
        '{"institution_id":"uni","license_type_id":"course","own":NaN}',
        '{"institution_id":"uni","license_type_id":"course","exp":Infinity}',
        '{"institution_id":"uni","license_type_id":"course","exp":1e999}',
        '{"institution_id":"uni","license_type_id":"course","exp":0x7fffffff}',
        '{"institution_id":"uni","license_type_id":"course"} ,',
        '{"institution_id":"uni","license_type_id":"course"}{}',
        '{"institution_id":"uni","license_type_id":"course",}',
        "{'institution_id':'uni','license_type_id':'course'}",
        '{"institution_id":"uni","license_type_id":"course","user_id":"\\ud800"}',
        '{"institution_id":"uni","license_type_id":"course","user_id":"\\ud800x"}',
        '["uni","course"]', '"uni"', "null", "true", "1", "{}", " ",
        '\ufeff{"institution_id":"uni","license_type_id":"course"}',
        b'{"institution_id":"uni","license_type_id":"course","user_id":"\xff"}',
        b'{"institution_id":"uni","license_type_id":"course","own":"\xed\xa0\x80"}',
        json.dumps(dict(CAMPUS)).encode("utf-16"),
        b"\x00",
    ],
    ids=str,
)  # fmt: skip
def test_claims_that_can_be_read_in_two_ways_are_refused(text: str | bytes) -> None:
    assert "claims cannot be read" in refusal(signed_claims(text))


def test_a_members_name_may_be_escaped() -> None:
    assert judged(signed_claims('{"institution\\u005fid":"uni","license_type_id":"course"}'))


def test_a_header_with_a_member_twice_is_refused() -> None:
    assert "more than once" in refusal(sign(header=b'{"alg":"none","alg":"EdDSA"}'))


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({**HEADER, "crit": ["exp"]}, "crit"),
        ({**HEADER, "crit": []}, "crit"),
        ({**HEADER, "crit": None}, "crit"),
        ({**HEADER, "crit": ["b64"], "b64": False}, "crit"),
        ({**HEADER, "typ": "at+jwt"}, "type"),
        ({**HEADER, "typ": ""}, "type"),
        ({**HEADER, "typ": 1}, "header"),
        ({**HEADER, "kid": 1}, "header"),
        ({**HEADER, "kid": None}, "header"),
        ({**HEADER, "kid": ""}, "header"),
        ({**HEADER, "kid": "k" * 201}, "header"),
        ({**HEADER, "kid": "../../etc/passwd"}, "names no public key"),
        ({**HEADER, "kid": "second' OR '1'='1"}, "names no public key"),
    ],
    ids=str,
)
def test_headers_that_are_refused(header: object, says: str) -> None:
    assert says in refusal(sign(header=header))


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_is_bounded(opening: str) -> None:
    deep = opening * (5_000 // len(opening))
    assert refusal(signed_claims('{"institution_id":"uni","license_type_id":"course","own":' + deep))
    levels = 1_900
    closed = "[" * levels + "]" * levels
    text = '{"institution_id":"uni","license_type_id":"course","own":' + closed + "}"
    assert "claims cannot be read" in refusal(signed_claims(text))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_counted_outside_of_strings(opening: str, closing: str) -> None:
    def nested(levels: int, text: str = '"]}[{"') -> str:
        own = opening * levels + text + closing * levels
        return '{"institution_id":"uni","license_type_id":"course","own":' + own + "}"

    judged(signed_claims(nested(63)))
    judged(signed_claims(nested(63, r'"\\"')))
    judged(signed_claims(nested(0, json.dumps("[" * 500 + '"' + "{" * 500))))
    for text in (nested(64), nested(64, r'"\\"'), nested(500)):
        assert "more than 64 arrays and objects" in refusal(signed_claims(text))


def test_size_is_bounded() -> None:
    token = sign(campus(own="x" * 5_900))
    assert len(token) <= MOST_CHARACTERS
    judged(token)
    assert refusal(sign(campus(own="x" * 6_200))) == "token: it is too long"
    assert refusal("a." * 10_000_000) == "token: it is too long"


@settings(max_examples=150)
@given(st.data())
def test_no_byte_can_be_another(data: st.DataObject) -> None:
    token = sign(campus(unique_id="course", user_id="zoë", exp=SECONDS + 60))
    at = data.draw(st.integers(0, len(token) - 1))
    instead = data.draw(st.characters(min_codepoint=0, max_codepoint=0x17F, exclude_characters=token[at]))
    refusal(token[:at] + instead + token[at + 1 :])


@settings(max_examples=150)
@given(
    st.text(max_size=300)
    | st.binary(max_size=200).map(lambda raw: f"{encoded(HEADER)}.{base64url(raw)}.{'A' * 86}")
)
def test_nonsense_is_refused_and_nothing_else(token: str) -> None:
    refusal(token)


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(
            ["institution_id", "license_type_id", "exp", "nbf", "unique_id", "models", "allowance", "x"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    )
)
def test_whatever_is_claimed_is_judged_without_surprise(claims: dict[str, object]) -> None:
    try:
        judged(sign({**CAMPUS, **claims}))
    except Unauthenticated as refused:
        assert refused.message == "Invalid API key"
