"""The examples of docs/tokens.md sign what the gateway takes; each runs where its tool is."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quantized.auth.jwt import LEEWAY_MS, MOST_CHARACTERS, VerificationKey, read_token, verify
from quantized.auth.signing import mint_private_key, read_private_key
from quantized.storage.tokens import MOST_PUBLIC_KEYS

GUIDE = (Path(__file__).parents[2] / "docs" / "tokens.md").read_text()
EXAMPLES = re.findall(
    r"```(python|js|php|sh)\n(.*?)```", GUIDE.partition("## Signing")[2].partition("\n## ")[0], re.DOTALL
)
TOOLS = {"python": "python", "php": "php", "sh": "sh"}


def command(language: str, file: Path) -> list[str]:
    return [sys.executable if language == "python" else TOOLS[language], str(file)]


def has_tools(language: str, text: str) -> bool:
    needed = [TOOLS[language], *(tool for tool in ("jwt", "openssl") if f"{tool} " in text)]
    return language == "python" or all(map(shutil.which, needed))


def test_every_way_to_sign_has_an_example() -> None:
    assert [language for language, _ in EXAMPLES] == ["python", "js", "php", "sh", "sh"]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        pytest.param(
            language,
            text,
            marks=pytest.mark.skipif(not has_tools(language, text), reason="its tool is not on this machine"),
        )
        for language, text in EXAMPLES
        # A module looks for jose beside itself alone; what jose signs is among the foreign tokens.
        if language != "js"
    ],
    ids=["python", "php", "jwt", "openssl"],
)
def test_what_an_example_signs_is_accepted(language: str, text: str, tmp_path: Path) -> None:
    private = mint_private_key()
    (tmp_path / "quantized-jwt.pem").write_text(private)
    file = tmp_path / f"example.{language}"
    file.write_text(text)
    ran = subprocess.run(
        command(language, file), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200
    )
    assert ran.returncode == 0, ran.stderr
    token = read_token(ran.stdout.strip())
    keys = [VerificationKey("k", "2026", read_private_key(private).public_key())]
    verify(token, keys, round(time.time() * 1000))
    assert token.kid == "2026"
    claims = token.claims
    assert (claims.institution_id, claims.license_type_id, claims.unique_id) == (
        "uni",
        "course",
        "biology-101",
    )
    assert claims.expires_at is not None
    assert abs(claims.expires_at / 1_000 - time.time() - 3_600) < 60


def test_the_guides_numbers_are_those_of_the_code() -> None:
    assert f"{MOST_CHARACTERS:,}\ncharacters" in GUIDE
    assert f"{LEEWAY_MS // 1_000} seconds ahead" in GUIDE
    assert MOST_PUBLIC_KEYS == 8
    assert "eight public keys" in GUIDE
