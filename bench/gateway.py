"""The gateway as an institution would run it, and what its own command line tells of it."""

import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from bench.contenders import BEDROCK, BEDROCK_MODEL, INSTANT, PROMPT_TOKENS, Contender
from bench.database import DatabaseServer
from bench.machine import GATEWAY_CORE, Running, Unable, free_port

INPUT_RATE, OUTPUT_RATE = 150_000, 600_000
"""Micro-credits per million tokens."""

_MODEL = "gpt-4o-mini"

_CREDITS = "1000000"
"""Granted at the start; each request holds its worst case, so that many at once need many."""


@dataclass(frozen=True)
class Command:
    """`quantized`, as it is installed beside this Python, in a folder of its own."""

    folder: Path
    more: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those of whoever runs it."""

    @property
    def program(self) -> Path:
        return Path(sys.executable).parent / "quantized"

    @property
    def environ(self) -> dict[str, str]:
        # Nothing that the caller has set for a gateway of theirs.
        mine = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("QUANTIZED_", "OPENROUTER_", "ANTHROPIC_", "AWS_"))
        }
        return {**mine, **self.more, "QUANTIZED_CONFIG": str(self.folder / "quantized.toml")}

    def json(self, *arguments: str) -> Any:
        """What it prints for programs. Raises Unable with what it complains of."""
        ran = subprocess.run(
            [self.program, *arguments, "--json"],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if ran.returncode:
            raise Unable(f"quantized {' '.join(arguments)}: {ran.stderr}")
        return json.loads(ran.stdout)


class LedgerDiffers(Exception):
    """The gateway did not charge what the load generator saw answered."""


class Ledger:
    """What the load generator counted, to be compared with what the gateway's command line tells."""

    def __init__(self, command: "Command", license_id: str) -> None:
        self._command = command
        self._license = license_id
        self._answers: Counter[int] = Counter()

    def note(self, output_tokens: int, answers: int) -> None:
        """So many good answers of so many tokens each."""
        self._answers[output_tokens] += answers

    def check(self) -> str:
        """Says that everything was charged, to the micro-credit, and nothing else. Raises LedgerDiffers."""
        counted = {
            "requests": self._answers.total(),
            "input": PROMPT_TOKENS * self._answers.total(),
            "output": sum(tokens * answers for tokens, answers in self._answers.items()),
            "charged_micro_credits": sum(
                _price(tokens) * answers for tokens, answers in self._answers.items()
            ),
            "overrun_micro_credits": 0,
            "estimated": 0,
            "held_micro_credits": 0,
        }
        usage = self._command.json("usage", "--by", "license")
        license_ = self._command.json("license", "show", self._license)
        told = {name: {**license_, **usage[0]}[name] for name in counted}
        if told != counted:
            raise LedgerDiffers(f"the ledger says {told}, the load generator {counted}")
        return f"the ledger charged all of {counted['requests']:,} answers, and exactly"


def _price(output_tokens: int) -> int:
    """Micro-credits of one answer, rounded up once."""
    millionths = INPUT_RATE * PROMPT_TOKENS + OUTPUT_RATE * output_tokens
    return math.ceil(Fraction(millionths, 1_000_000))


def start_gateway(
    stack: ExitStack,
    folder: Path,
    upstreams: Mapping[str, int],
    *,
    database: DatabaseServer | None = None,
    wrapper: Sequence[str] = (),
    workers: int = 1,
) -> tuple[Contender, Ledger]:
    """The gateway as an institution would run it: configured, with a licence, metering into its database: a
    file, or what is on a `database` server.

    With Bedrock among the upstreams it signs its requests. `wrapper` is a command that runs it, a profiler
    for example. Several `workers` have as many cores, the first ones.
    """
    folder.mkdir(exist_ok=True)
    port = free_port()
    database_url = f"sqlite:///{folder}/quantized.db" if database is None else database.url
    (folder / "quantized.toml").write_text(_gateway_configuration(database_url, port, upstreams))
    more = _aws(upstreams[BEDROCK.name]) if BEDROCK.name in upstreams else {}
    command = Command(folder, {**more, "QUANTIZED_WORKERS": str(workers)})
    if not command.program.exists():
        raise Unable(f"there is no {command.program}; run: make test")
    made = command.json("init", "--credits", _CREDITS)
    process = stack.enter_context(
        Running(
            "gateway",
            ",".join(str(GATEWAY_CORE + n) for n in range(workers)),
            [*wrapper, command.program, "serve"],
            folder,
            command.environ,
        )
    )
    process.wait_for_port(port)
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    ports = dict.fromkeys(upstreams, port)
    gateway = Contender("gateway", process, ports, headers, folder, metered=True, database=database)
    return gateway, Ledger(command, made["license_id"])


def _aws(port: int) -> Mapping[str, str]:
    return {
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"http://127.0.0.1:{port}",
    }


def _gateway_configuration(database_url: str, port: int, upstreams: Mapping[str, int]) -> str:
    rates = f"{{ input = {INPUT_RATE / 10**6}, output = {OUTPUT_RATE / 10**6} }}"
    providers = "".join(
        f"""
[providers.{name}]
base_url = "http://127.0.0.1:{upstreams[name]}/v1"
[providers.{name}.models."{_MODEL}"]
rates = {rates}
"""
        for name in upstreams
        if name != BEDROCK.name
    )
    if BEDROCK.name in upstreams:
        providers += f'[catalog.overrides.{BEDROCK.name}]\n"{BEDROCK_MODEL}" = {rates}\n'
    return f"""port = {port}
database_url = "{database_url}"
default_provider = "{INSTANT.name if INSTANT.name in upstreams else BEDROCK.name}"
demo = false
{providers}"""
