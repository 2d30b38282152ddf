"""Signed tokens on the command line: key pairs, public keys, a token to try, why one is refused."""

import json
import stat
from pathlib import Path

import pytest
from campus import campus, private_key, public_key, sign
from cli_harness import Run
from click.testing import CliRunner

from quantized.auth.jwt import VerificationKey, read_token, verify
from quantized.auth.public_keys import from_pem, to_pem
from quantized.auth.signing import public_half, read_private_key
from quantized.cli.main import cli


@pytest.fixture
def institution(database: str, run: Run) -> str:
    run("institution", "create", "uni")
    run("license-type", "create", "uni", "course", "--credits", "5")
    return "uni"


def test_a_key_pair_is_for_its_owner_alone_and_is_not_overwritten(folder: Path, run: Run) -> None:
    made = run("jwt", "keygen", "--json").json
    path = folder / "quantized-jwt.pem"
    assert made["private_key_file"] == "quantized-jwt.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    private = read_private_key(path.read_text())
    assert public_half(private) == made["public_key"]
    assert from_pem(made["public_key_pem"]) == private.public_key()
    before = path.read_text()
    again = run("jwt", "keygen")
    assert again.status == 1
    assert "--out" in again.err
    assert path.read_text() == before
    (folder / "link.pem").symlink_to(folder / "nowhere.pem")
    assert run("jwt", "keygen", "--out", "link.pem").status == 1
    assert "cannot write" in run("jwt", "keygen", "--out", "no/such/folder.pem").err


def test_what_keygen_tells_to_do_works(institution: str, folder: Path, run: Run) -> None:
    said = run("jwt", "keygen", "--out", "k.pem").out
    assert "PRIVATE" not in said
    register, sign_ = (line.split()[1:] for line in said.splitlines() if line.startswith("quantized "))
    names = {"INSTITUTION": "uni", "TYPE": "course"}
    assert run(*(names.get(word, word) for word in register)).status == 0
    token = run(*(names.get(word, word) for word in sign_)).out.strip()
    assert run("jwt", "inspect", token, "--json").json["accepted"]


def test_a_token_says_what_it_was_told(folder: Path, run: Run, now: int) -> None:
    run("jwt", "keygen", "--out", "k.pem")
    key = VerificationKey("k", "2026", read_private_key((folder / "k.pem").read_text()).public_key())
    words = ("--key", "k.pem", "--institution", "uni", "--license-type", "course")
    least = read_token(run("jwt", "sign", *words).out.strip())
    verify(least, [key], now)
    assert least.claims.expires_at is not None
    assert abs(least.claims.expires_at - now - 3_600_000) < 60_000
    told = run(
        "jwt", "sign", *words, "--kid", "2026", "--unique-id", "Biology 101", "--user-id", "zoë",
        "--no-expiry",
        "--jti", "t", "--salt", "s", "--allowance", "2.5", "--model", "openai/*", "--model", "a/b", "--json",
    ).json  # fmt: skip
    full = read_token(told["token"])
    verify(full, [key], now)
    assert (full.kid, full.claims.unique_id, full.claims.user_id) == ("2026", "Biology 101", "zoë")
    assert (full.claims.allowance, full.claims.models) == (2_500_000, ("openai/*", "a/b"))
    assert full.claims.expires_at is None
    assert told["claims"]["jti"] == "t"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("nonsense", "no private key in PEM"),
        (to_pem(public_key(1).public_bytes_raw()), "no private key in PEM"),
    ],
)
def test_only_a_private_key_signs(folder: Path, run: Run, content: str, says: str) -> None:
    (folder / "k.pem").write_text(content)
    ran = run("jwt", "sign", "--key", "k.pem", "--institution", "i", "--license-type", "t")
    assert ran.status == 2
    assert says in ran.err


def test_public_keys_are_registered_in_every_form_listed_and_turned_off_and_on(
    institution: str, folder: Path, run: Run
) -> None:
    pem = folder / "key.pem"
    pem.write_text(to_pem(public_key(1).public_bytes_raw()))
    first = run("institution", "key", "add", "uni", str(pem), "--kid", "a", "--expires", "30d", "--json").json
    second = run("institution", "key", "add", "uni", public_half(private_key(2)), "--json").json
    x = public_half(private_key(3)).replace("+", "-").replace("/", "_").rstrip("=")
    jwk = json.dumps({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "from-jwk"})
    done = CliRunner().invoke(cli, ["institution", "key", "add", "uni", "-", "--json"], input=jwk)
    third = json.loads(done.stdout)
    assert [key["kid"] for key in (first, second, third)] == ["a", None, "from-jwk"]
    assert first["expires_at"] is not None
    listed = run("institution", "key", "list", "uni", "--json").json
    assert {key["public_key_id"] for key in listed} == {
        key["public_key_id"] for key in (first, second, third)
    }
    assert run("institution", "key", "deactivate", "from-jwk", "--json").json["active"] is False
    assert run("institution", "key", "activate", third["public_key_id"], "--json").json["active"] is True
    shown = run("institution", "show", "uni", "--json").json
    assert len(shown["public_keys"]) == 3
    again = run("institution", "key", "add", "uni", str(pem))
    assert again.status == 1
    assert "has this public key already" in again.err


@pytest.mark.parametrize(
    ("key", "status", "says"),
    [
        ("nonsense", 2, "no public key"),
        ("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 2, "weak key"),
        ("private.pem", 2, "private key"),
        ("big", 2, "too long"),
    ],
)
def test_what_is_no_public_key_is_refused_with_the_reason(
    institution: str, folder: Path, run: Run, key: str, status: int, says: str
) -> None:
    run("jwt", "keygen", "--out", "private.pem")
    (folder / "big").write_text("x" * 100_000)
    ran = run("institution", "key", "add", "uni", key)
    assert ran.status == status
    assert says in " ".join(ran.err.split())
    assert run("institution", "key", "list", "--json").json == []


def test_inspect_says_why(institution: str, folder: Path, run: Run, now: int) -> None:
    run("institution", "key", "add", "uni", public_half(private_key(1)), "--kid", "a")
    seconds = now // 1_000
    reasons = {
        sign(campus(), seed=2): "signature is wrong",
        sign(campus(exp=seconds - 5)): "it has expired",
        sign(campus(nbf=seconds + 500)): "not valid yet",
        sign(campus(exp=str(seconds + 60))): "claims cannot be read",
        sign(campus(license_type_id="other")): "no licence type 'other'",
        sign(campus(institution_id="nowhere")): "no institution 'nowhere'",
        sign(campus(models=["a/*"])): "does not allow the claim 'models'",
        "nonsense": "three parts",
    }
    for token, says in reasons.items():
        ran = run("jwt", "inspect", token, "--json")
        assert ran.status == 1
        told = json.loads(ran.out)
        assert told["accepted"] is False
        assert says in told["reason"]
        assert len(token) < 20 or token.rpartition(".")[2] not in ran.out
    good = run("jwt", "inspect", sign(campus(unique_id="bio", allowance=5, exp=seconds + 60)), "--json")
    assert json.loads(good.out)["allowance_micro_credits"] == 5
    run("license-type", "update", "uni/course", "--token-allowance", "1", "--token-models")
    plain = sign(campus(unique_id="bio", allowance=5, models=["a/*"]))
    accepted = CliRunner().invoke(cli, ["jwt", "inspect", "-"], input=f"{plain}\n")
    assert accepted.exit_code == 0
    assert "accepted         yes" in accepted.stdout
    assert run("license", "list", "--json").json == []


def test_tokens_are_revoked_once_and_listed(institution: str, run: Run) -> None:
    run("institution", "key", "add", "uni", public_half(private_key(1)))
    token = sign(campus(jti="t-1"))
    assert run("jwt", "inspect", token).status == 0
    assert run("jwt", "revoked").err.startswith("No token")
    first = run("jwt", "revoke", "uni", "t-1", "--reason", "lost laptop", "--json").json
    assert run("jwt", "revoke", "uni", "t-1", "--json").json == first
    assert run("jwt", "revoked", "uni", "--json").json == [first]
    assert first["reason"] == "lost laptop"
    refused = run("jwt", "inspect", token, "--json")
    assert "jti 't-1' is revoked" in json.loads(refused.out)["reason"]
    assert run("jwt", "revoke", "nowhere", "t-1").status == 1


def test_what_a_licence_types_tokens_may_claim_is_shown(institution: str, run: Run) -> None:
    def shown() -> tuple[object, object]:
        row = run("license-type", "show", "uni/course", "--json").json
        return row["token_allowance_micro_credits"], row["token_models"]

    assert shown() == (None, False)
    run("license-type", "update", "uni/course", "--token-allowance", "2.5", "--token-models")
    assert shown() == (2_500_000, True)
    run("license-type", "update", "uni/course", "--token-allowance", "none", "--no-token-models")
    assert shown() == (None, False)
    assert run("license-type", "update", "uni/course", "--token-allowance", "many").status == 2
