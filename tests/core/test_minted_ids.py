"""Ids: unique everywhere, in every process, and in the order of their time."""

import re
import subprocess
import sys

from quantized.core.ids import canonical_response_id, mint_id

_FORKING = """
import os
from quantized.core.ids import mint_id
first = mint_id("x", 0)  # draws randomness for more than one id
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, mint_id("x", 0).encode())
    os._exit(0)
os.waitpid(child, 0)
print(os.read(read, 100).decode(), mint_id("x", 0))
"""


def test_ids_never_repeat_and_sort_by_their_time() -> None:
    ids = [mint_id("req", now) for now in range(2_000)]
    assert len({found[-18:] for found in ids}) == len(ids)
    assert sorted(ids) == ids
    assert all(re.fullmatch(r"req-[0-9a-f]{30}", found) for found in ids)


def test_ids_of_responses_with_a_dash_and_with_an_underscore() -> None:
    assert canonical_response_id("resp_abc") == canonical_response_id("resp-abc") == "resp-abc"
    assert canonical_response_id("other") == "other"


def test_a_forked_process_mints_other_ids() -> None:
    ran = subprocess.run([sys.executable, "-c", _FORKING], capture_output=True, text=True, check=True)
    of_child, of_parent = ran.stdout.split()
    assert of_child != of_parent
