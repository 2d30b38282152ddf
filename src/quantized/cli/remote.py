"""The administration of a gateway elsewhere, by its API."""

import http.client
import re
import ssl
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import click
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from quantized.administration import verbs as v
from quantized.administration.actor import Actor
from quantized.administration.endpoints import BY_VERB, PREFIX
from quantized.administration.faults import NotThere
from quantized.administration.port import Repeat
from quantized.core.errors import Fault

R = TypeVar("R")

_SECONDS = 60.0
_LARGEST_ANSWER = 64 * 1024 * 1024
_KEY = re.compile(r"[!-~]{1,512}")
_REFERENCE = re.compile(r"[!-.0-~]{1,200}")
_CALLED = {"license": "licence", "license_type": "licence type"}
_NOT_THERE = re.compile(r"There is no (.+) '([^']*)'\.")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _Error(Struct):
    message: str
    code: str | None = None
    param: str | None = None


class _ErrorBody(Struct):
    error: _Error


class RemoteAdministration:
    """`administration.port.Administering` by HTTP. Whose key it is says who acts: the actor that is handed in
    counts for nothing."""

    def __init__(self, url: str, key: str) -> None:
        """`url` is the gateway's, with or without `/admin/v1`. Raises ClickException where it is none."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise click.ClickException(f"{url!r} is no gateway's URL; write https://ai.example.edu")
        if not _KEY.fullmatch(key):
            raise click.ClickException("there is no admin key; put one into QUANTIZED_ADMIN_KEY")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/").removesuffix(PREFIX) + PREFIX
        self._url = url
        self._key = key

    @property
    def in_clear(self) -> bool:
        """Whether the key goes over a network unencrypted."""
        return not self._secure and self._host not in _LOOPBACK

    def do(self, actor: Actor, verb: v.Verb[R], repeat: Repeat | None = None) -> R:  # noqa: ARG002
        """Raises a Fault with what the gateway said, NotThere as itself, and ClickException where there is no
        gateway."""
        endpoint = BY_VERB[type(verb)]
        said: dict[str, Any] = msgspec.to_builtins(self._resolved(verb))
        path = endpoint.path.format(**{name: _in_path(name, said.pop(name)) for name in endpoint.in_path})
        headers = {"authorization": f"Bearer {self._key}", "accept": "application/json"}
        if repeat is not None:
            headers["idempotency-key"] = repeat.key
        body = None
        if endpoint.method == "GET":
            query = {name: _worded(value) for name, value in said.items() if value is not None}
            path += f"?{urlencode(query)}" if query else ""
        else:
            headers["content-type"] = "application/json"
            body = msgspec.json.encode(said)
        status, answer = self._ask(endpoint.method, self._base + path, headers, body)
        if status >= 400:
            self._refuse(status, answer)
        try:
            decoded: R = msgspec.json.decode(answer, type=endpoint.answer)
        except msgspec.DecodeError as error:
            why = f"{self._url} answered what this version cannot read: {error}"
            raise click.ClickException(why) from error
        return decoded

    def actor(self, secret: str, origin: str, request_id: str | None) -> Actor:
        raise NotImplementedError("a gateway judges its own keys")

    def close(self) -> None:
        pass

    def _resolved(self, verb: v.Verb[R]) -> v.Verb[R]:
        """INSTITUTION/ALIAS of a licence type has no place in a path: by its id then."""
        reference = getattr(verb, "license_type", None)
        if "license_type" not in BY_VERB[type(verb)].in_path or "/" not in str(reference):
            return verb
        institution, _, alias = str(reference).partition("/")
        asked = v.ListLicenseTypes(institution=institution, limit=200)
        while True:
            page = self.do(_NOBODY, asked)
            for found in page.data:
                if alias in {found.alias, found.license_type_id}:
                    changed: v.Verb[R] = replace(verb, license_type=found.license_type_id)
                    return changed
            if page.next_cursor is None:
                raise NotThere("licence type", str(reference), param="license_type")
            asked = replace(asked, cursor=page.next_cursor)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection
        if self._secure:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_SECONDS, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(_LARGEST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise click.ClickException(f"cannot reach the gateway at {self._url}: {why}") from error
        finally:
            connection.close()

    def _refuse(self, status: int, answer: bytes) -> NoReturn:
        try:
            error = msgspec.json.decode(answer, type=_ErrorBody).error
        except msgspec.DecodeError as undecoded:
            raise click.ClickException(
                f"{self._url} answered {status}, and not as a gateway does"
            ) from undecoded
        if error.code == "invalid_admin_key":
            raise click.ClickException(f"{self._url} does not accept the key in QUANTIZED_ADMIN_KEY")
        if status == 404 and error.code is None:
            raise click.ClickException(f"{self._url} has no administration API that knows this")
        if found := _NOT_THERE.fullmatch(error.message):
            raise NotThere(found[1], found[2], param=error.param)
        raise Fault(error.message, param=error.param, code=error.code)


_NOBODY = Actor("", "", "auditor", "command line")


def _in_path(name: str, reference: str) -> str:
    """Raises NotThere for what nothing can be called."""
    if not _REFERENCE.fullmatch(reference):
        raise NotThere(_CALLED.get(name, name.replace("_", " ")), reference, param=name)
    return quote(reference, safe="")


def _worded(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
