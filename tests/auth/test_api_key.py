import hashlib
import re

from quantized.auth.api_key import digest, display_prefix, mint_key


def test_a_key_is_recognisable_safe_in_a_header_and_never_the_same() -> None:
    keys = {mint_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"sk-quantized-[A-Za-z0-9_-]{43}", key) for key in keys)


def test_what_is_shown_of_a_key_is_a_small_part_of_it() -> None:
    key = mint_key()
    assert key.startswith(display_prefix(key))
    assert len(display_prefix(key)) == len("sk-quantized-") + 6


def test_the_digest_is_sha_256_of_the_whole_key() -> None:
    assert digest("sk-quantized-x") == hashlib.sha256(b"sk-quantized-x").digest()
