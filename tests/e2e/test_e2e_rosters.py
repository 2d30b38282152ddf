"""A course on a running gateway: links become keys, keys call, and whoever leaves calls no more."""

import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gateway_process import GatewayProcess
from in_time import PAUSE
from plain_http import HTTP

QUESTION = {"model": "quantized/demo", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize("mode", ["licenses", "allowances"])
def test_who_leaves_the_course_calls_no_more(
    make_gateway: Callable[[str], GatewayProcess], mode: str
) -> None:
    gateway = make_gateway("admin_api = false")
    gateway.start()
    gateway.cli("license", "create", "home/standard", "--unique-id", "course", "--credits", "10")
    where = ("--type", "home/standard") if mode == "licenses" else ("--license", "course")
    file = gateway.room / "bio.csv"
    file.write_text("id,credits\nann,1\nbob,1\ncat,1\n")
    gateway.cli("roster", "import", str(file), *where, "--links", str(gateway.room / "links.csv"))
    links = re.findall(r"/claim/[\w-]{43}", (gateway.room / "links.csv").read_text())
    assert len(links) == 3
    keys = [
        re.findall(r"sk-quantized-[\w-]{43}", HTTP.post(gateway.url + link, timeout=50).text)[0]
        for link in links
    ]

    def status(key: str) -> int:
        headers = {"authorization": f"Bearer {key}"}
        return HTTP.post(f"{gateway.url}/v1/chat/completions", headers=headers, json=QUESTION).status_code

    assert [status(key) for key in keys] == [200, 200, 200]
    file.write_text("id,credits\nann,1\ncat,1\n")
    gateway.cli("roster", "import", str(file))
    began = asked = time.monotonic()
    while status(keys[1]) != 401:
        assert asked < began + 2, "bob's key does not stop"
        time.sleep(PAUSE)
        asked = time.monotonic()
    assert [status(keys[0]), status(keys[2])] == [200, 200]
    people = gateway.cli("roster", "people", "bio", "--removed")
    assert [person["person"] for person in people] == ["bob"]
    log = gateway.log_path.read_text()
    assert not [secret for secret in (*links, *keys) if secret.removeprefix("/claim/") in log]


def test_the_guides_course_calls_what_every_gateway_has(
    make_gateway: Callable[[str], GatewayProcess],
) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "administrators.md").read_text()
    (made,) = re.findall(r"^quantized (license-type create uni (?:.*\\\n)*.*)$", guide, re.MULTILINE)
    gateway = make_gateway("")
    gateway.start()
    gateway.cli("institution", "create", "uni")
    gateway.cli(*shlex.split(made.replace("\\\n", " ")))
    file = gateway.room / "bio.csv"
    file.write_text("id\nann\n")
    gateway.cli(
        "roster", "import", str(file), "--type", "uni/student", "--links", str(gateway.room / "l.csv")
    )
    (link,) = re.findall(r"/claim/[\w-]{43}", (gateway.room / "l.csv").read_text())
    page = HTTP.post(gateway.url + link, timeout=50).text
    headers = {"authorization": f"Bearer {re.findall('sk-quantized-[a-zA-Z0-9_-]{43}', page)[0]}"}
    answer = HTTP.post(f"{gateway.url}/v1/chat/completions", headers=headers, json=QUESTION)
    assert answer.status_code == 200, answer.text
