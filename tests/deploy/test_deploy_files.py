"""What lies in deploy/ agrees with the program, and with itself."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from quantized.cli.main import cli
from quantized.http.connection import Bounds
from quantized.settings import Settings, load, variable
from quantized.settings_providers import KEY_VARIABLES
from quantized.settings_schema import SCALARS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KNOWN = {variable(section, key) for section in SCALARS for key in SCALARS[section]}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
MANIFESTS = {
    path.stem.removesuffix(".example"): yaml.safe_load(path.read_text())
    for path in (DEPLOY / "kubernetes").glob("*.yaml")
}
EXAMPLE = (DEPLOY / "compose/example.env").read_text()
NGINX = (DEPLOY / "compose/nginx.conf").read_text()
SETTLING = 10
"""Seconds that a stop may take beyond shutdown_seconds, as the supervisor has it."""


def environments() -> Iterator[tuple[str, Mapping[str, str]]]:
    image = dict(re.findall(r"\b(QUANTIZED_[A-Z_]+)=(\S+)", DOCKERFILE))
    yield "image", image
    manifests = MANIFESTS["configmap"]["data"] | MANIFESTS["secret"]["stringData"]
    yield "kubernetes", image | manifests
    for name in ("gateway-a", "gateway-b", "migrate"):
        service = {
            key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", re.sub(r"\$\{\w+:\?[^}]*\}", "x", value))
            for key, value in COMPOSE["services"][name]["environment"].items()
        }
        yield name, image | service


@pytest.mark.parametrize(("name", "environ"), [*environments()])
def test_the_environment_is_one_that_the_program_starts_with(name: str, environ: Mapping[str, str]) -> None:
    assert {key for key in environ if key.startswith("QUANTIZED_")} <= KNOWN
    assert set(environ) - KNOWN <= {*KEY_VARIABLES.values(), "AWS_REGION"}
    # Nothing stands in for the key that the default provider needs.
    keys = {"OPENROUTER_API_KEY": "x"} if name != "kubernetes" else {}
    settings = load(environ | keys)
    assert settings.host == "0.0.0.0"
    assert settings.port == 8080


def settings_of(name: str) -> Settings:
    return load(dict(environments())[name] | {"OPENROUTER_API_KEY": "x"})


@pytest.mark.parametrize("provider", KEY_VARIABLES)
def test_whichever_providers_key_is_in_dot_env_reaches_the_gateways(provider: str) -> None:
    given = dict(line.split("=") for line in EXAMPLE.splitlines() if not line.startswith("#"))
    names = set(re.findall(r"\$\{(\w+):", (DEPLOY / "compose/compose.yaml").read_text()))
    assert given.keys() == names
    assert KEY_VARIABLES[provider] in names
    environ = dict(environments())["gateway-a"] | {KEY_VARIABLES[provider]: "x", "AWS_REGION": "eu-central-1"}
    settings = load(environ | {"QUANTIZED_DEFAULT_PROVIDER": provider})
    assert settings.providers.keys() == {provider}


def test_the_image_has_all_that_it_is_made_of_and_nothing_else() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert {f"!{source}" for source in copied} == {line for line in ignored if line.startswith("!")}
    assert all((ROOT / source).exists() for source in copied)
    assert ignored[-1] == "**/__pycache__"
    assert "USER 10001:10001" in DOCKERFILE
    assert 'CMD ["serve"]' in DOCKERFILE
    assert "index-url" not in DOCKERFILE


def test_the_commands_are_the_programs() -> None:
    pod = MANIFESTS["deployment"]["spec"]["template"]["spec"]
    said = [container["args"] for container in (*pod["initContainers"], *pod["containers"])]
    said.append(COMPOSE["services"]["migrate"]["command"])
    for command in said:
        assert cli.get_command(None, command[0]) is not None  # type: ignore[arg-type]


def test_a_pod_has_the_time_that_its_stop_takes() -> None:
    pod = MANIFESTS["deployment"]["spec"]["template"]["spec"]
    (gateway,) = pod["containers"]
    _, before = gateway["lifecycle"]["preStop"]["exec"]["command"]
    needed = float(before) + settings_of("kubernetes").shutdown_seconds + SETTLING
    assert pod["terminationGracePeriodSeconds"] > needed


def test_a_composed_gateway_has_the_time_that_its_stop_takes() -> None:
    for name in ("gateway-a", "gateway-b"):
        granted = int(COMPOSE["services"][name]["stop_grace_period"].removesuffix("s"))
        assert granted > settings_of(name).shutdown_seconds + SETTLING
        assert int(COMPOSE["services"]["proxy"]["stop_grace_period"].removesuffix("s")) >= granted


def test_probes_ask_what_is_answered() -> None:
    (gateway,) = MANIFESTS["deployment"]["spec"]["template"]["spec"]["containers"]
    probes = {name: gateway[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/health",
        "readiness": "/ready",
        "liveness": "/health",
    }
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert gateway["ports"] == [{"name": "http", "containerPort": settings_of("kubernetes").port}]
    assert MANIFESTS["service"]["spec"]["ports"][0]["targetPort"] == "http"
    assert "/health'" in DOCKERFILE


def test_the_manifests_are_about_the_same_pods() -> None:
    labels = MANIFESTS["deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors: list[Any] = [
        MANIFESTS["deployment"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["service"]["spec"]["selector"],
        MANIFESTS["poddisruptionbudget"]["spec"]["selector"]["matchLabels"],
    ]
    assert selectors == [labels] * 3
    assert (
        MANIFESTS["deployment"]["spec"]["replicas"] > MANIFESTS["poddisruptionbudget"]["spec"]["minAvailable"]
    )
    listed = {name.removesuffix(".yaml") for name in MANIFESTS["kustomization"]["resources"]}
    assert listed == MANIFESTS.keys() - {"kustomization"}
    pod = MANIFESTS["deployment"]["spec"]["template"]["spec"]
    named = {next(iter(source.values()))["name"] for source in pod["containers"][0]["envFrom"]}
    assert named == {MANIFESTS["configmap"]["metadata"]["name"], MANIFESTS["secret"]["metadata"]["name"]}


def test_nothing_in_a_pod_may_do_more_than_serve() -> None:
    pod = MANIFESTS["deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    for container in (*pod["initContainers"], *pod["containers"]):
        allowed = container["securityContext"]
        assert allowed["readOnlyRootFilesystem"]
        assert not allowed["allowPrivilegeEscalation"]
        assert allowed["capabilities"] == {"drop": ["ALL"]}


def directive(name: str) -> str:
    (value,) = re.findall(rf"^\s*{name} (.+);$", NGINX, re.MULTILINE)
    return str(value)


def test_nginx_waits_as_long_as_the_gateway_does_and_reuses_no_closing_connection() -> None:
    settings = Settings()
    assert int(directive("proxy_read_timeout").removesuffix("s")) > settings.timeouts.total
    assert int(directive("client_max_body_size").removesuffix("m")) * 2**20 > settings.limits.body_bytes
    upstream = NGINX.partition("upstream gateways {")[2].partition("}")[0]
    (idle,) = re.findall(r"keepalive_timeout (\d+)s;", upstream)
    assert int(idle) < Bounds().keep_alive
    assert directive("proxy_buffering") == "off"
    assert "non_idempotent" not in directive("proxy_next_upstream")
    servers = set(re.findall(r"server (\S+):8080 ", upstream))
    assert servers == {name for name in COMPOSE["services"] if name.startswith("gateway")}


@pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/bin") is None, reason="needs nginx on the machine"
)
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    configuration = tmp_path / "nginx.conf"
    # Hosts that only compose knows.
    text = re.sub(r"gateway-[ab]:", "127.0.0.1:", NGINX).replace("/tmp/", f"{tmp_path}/")
    # What only a newer one knows.
    configuration.write_text(text.replace(" resolve;", ";"))
    done = subprocess.run(
        ["nginx", "-t", "-e", "stderr", "-p", tmp_path, "-c", configuration],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
