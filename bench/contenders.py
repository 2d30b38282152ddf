"""Who is measured, nginx as a plain proxy to begin with; and the mock upstreams behind them."""

import json
import os
import resource
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.database import DatabaseServer
from bench.machine import GATEWAY_CORE, HERE, LOAD_CORE, Running, compiled, free_port

PROMPT_TOKENS = 120
JSON_TOKENS = 84
"""What the mock reports; a stream reports as many completion tokens as it has chunks."""


@dataclass(frozen=True)
class Api:
    """What is asked in: a path, a file with a body, what a stream's body has beside it, and how often the
    text of a stream is told in it: as it comes, and again as a whole."""

    name: str
    path: str
    body: str
    streaming: Mapping[str, Any]
    tellings: int


CHAT = Api(
    "chat",
    "/v1/chat/completions",
    "body.json",
    {"stream": True, "stream_options": {"include_usage": True}},
    tellings=1,
)
RESPONSES = Api("responses", "/v1/responses", "responses.json", {"stream": True}, tellings=5)


@dataclass(frozen=True)
class Upstream:
    """A mock whose streams have `chunks` chunks, one each `pace_us` microseconds (0: as fast as can be).
    `asks`: what a request asks for otherwise than usual; None: not at all."""

    name: str
    pace_us: int
    chunks: int
    asks: Mapping[str, Any] = field(default_factory=dict)


INSTANT = Upstream("instant", 0, 100)
PACED = Upstream("paced", 20_000, 100)
SHORT = Upstream("short", 20_000, 10)
SLOW = Upstream("slow", 400_000, 10)
BEDROCK_MODEL = "amazon/nova-lite"
BEDROCK = Upstream("bedrock", 0, 100, {"model": BEDROCK_MODEL, "seed": None})
"""Reached by the provider of that name, in its own language."""
UPSTREAMS = (INSTANT, PACED, SHORT, SLOW, BEDROCK)


@dataclass(frozen=True)
class Contender:
    """A running proxy. `ports` are where each upstream is reached through it; `database` is the server that
    it keeps its books on, None where that is a file."""

    name: str
    process: Running
    ports: Mapping[str, int]
    headers: Mapping[str, str]
    folder: Path
    metered: bool = False
    database: DatabaseServer | None = None

    def request_file(
        self, upstream: Upstream, *, stream: bool, api: Api = CHAT, previous: str | None = None
    ) -> Path:
        """A file with the bytes of one request; `previous` is the response that it continues."""
        body = json.loads((HERE / api.body).read_text())
        if stream:
            body |= api.streaming
        asked = body | upstream.asks
        body = {name: value for name, value in asked.items() if value is not None}
        if previous is not None:
            body["previous_response_id"] = previous
        payload = json.dumps(body, separators=(",", ":")).encode()
        headers = {
            "Host": "127.0.0.1",
            "Content-Type": "application/json",
            "Content-Length": str(len(payload)),
            **self.headers,
        }
        if upstream != INSTANT:
            headers["X-Quantized-Provider"] = upstream.name
        head = f"POST {api.path} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        kind = "stream" if stream else "json"
        path = self.folder / f"{self.name}-{upstream.name}-{api.name}-{kind}.request"
        path.write_bytes(head.encode() + b"\r\n" + payload)
        return path


def start_upstreams(stack: ExitStack, folder: Path) -> dict[str, int]:
    """The port of each upstream."""
    program, ports = compiled("mock"), {}
    for upstream in UPSTREAMS:
        port = ports[upstream.name] = free_port()
        command: list[str | Path] = [program, str(port), str(upstream.pace_us), str(upstream.chunks)]
        mock = stack.enter_context(Running(f"mock-{upstream.name}", LOAD_CORE, command, folder, os.environ))
        mock.wait_for_port(port)
    return ports


def start_nginx(stack: ExitStack, folder: Path, upstreams: Mapping[str, int]) -> Contender:
    ports = {name: free_port() for name in upstreams}
    (folder / "nginx.conf").write_text(_nginx_configuration(folder, upstreams, ports))
    command: list[str | Path] = ["nginx", "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"]
    process = stack.enter_context(Running("nginx", GATEWAY_CORE, command, folder, os.environ))
    process.wait_for_port(ports[INSTANT.name])
    return Contender("nginx", process, ports, {"Authorization": "Bearer sk-none"}, folder)


def _nginx_configuration(folder: Path, upstreams: Mapping[str, int], ports: Mapping[str, int]) -> str:
    servers = "".join(
        f"""
  upstream {name} {{ server 127.0.0.1:{upstreams[name]}; keepalive 1024; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{ports[name]} backlog=4096;
    location / {{
      proxy_pass http://{name};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}"""
        for name in upstreams
    )
    # A master that is root would give its worker to a user who may not enter the temporary folder.
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "".join(
        f"  {module}_temp_path {folder}/nginx-{module};\n"
        for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {resource.getrlimit(resource.RLIMIT_NOFILE)[0]};
pid {folder}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 100000000;
{paths}{servers}
}}
"""
