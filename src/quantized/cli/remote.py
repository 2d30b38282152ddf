"""The administration of a gateway elsewhere, by its API."""

import http.client
import re
import ssl
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import click
import msgspec
from msgspec import Struct
from msgspec.structs import fields, replace

from quantized.administration import verbs as v
from quantized.administration.actor import Actor
from quantized.administration.endpoints import BY_VERB, PREFIX
from quantized.administration.faults import NotThere
from quantized.administration.port import Repeat
from quantized.administration.records import Record
from quantized.cli.output import printable
from quantized.core.errors import Fault

R = TypeVar("R")

_SECONDS = 60.0
_LARGEST_ANSWER = 64 * 1024 * 1024
_SENDABLE = re.compile(r"[!-~]*")
_KEY = re.compile(r"[!-~]{1,512}")
_REFERENCE = re.compile(r"[!-.0-~]{1,200}")
_CALLED = {"license": "licence", "license_type": "licence type"}
_NOT_THERE = re.compile(r"There is no (.+) '([^']*)'\.")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _Error(Struct):
    message: str
    code: str | None = None
    param: str | None = None


class _Answer(Struct, frozen=True):
    """`replayed`: it is that of an earlier sending, without its secret."""

    status: int
    body: bytes
    location: str | None
    replayed: bool


class _ErrorBody(Struct):
    error: _Error


class RemoteAdministration:
    """`administration.port.Administering` by HTTP. Whose key it is says who acts: the actor that is handed in
    counts for nothing."""

    def __init__(self, url: str, key: str) -> None:
        """`url` is the gateway's, with or without `/admin/v1`. Raises ClickException where it is none."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").encode("idna").decode(), parts.port
        except ValueError as error:  # also of a name that none can have
            raise click.ClickException(_no_url(url)) from error
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
            raise click.ClickException(_no_url(url))
        if not (_SENDABLE.fullmatch(host) and _SENDABLE.fullmatch(parts.path)):
            raise click.ClickException(_no_url(url))
        if not _KEY.fullmatch(key):
            raise click.ClickException("there is no admin key; put one into QUANTIZED_ADMIN_KEY")
        self._secure = parts.scheme == "https"
        self._host, self._port = host, port
        self._base = parts.path.rstrip("/").removesuffix(PREFIX) + PREFIX
        self._url = url
        self._key = key

    @property
    def in_clear(self) -> bool:
        """Whether the key goes over a network unencrypted."""
        return not self._secure and self._host not in LOOPBACK

    def do(self, actor: Actor, verb: v.Verb[R], repeat: Repeat | None = None) -> R:  # noqa: ARG002
        """Raises a Fault with what the gateway said, NotThere as itself, and ClickException where there is no
        gateway."""
        endpoint = BY_VERB[type(verb)]
        said = _said(self._resolved(verb))
        path = endpoint.path.format(**{name: _in_path(name, said.pop(name)) for name in endpoint.in_path})
        headers = {"authorization": f"Bearer {self._key}", "accept": "application/json"}
        acts = endpoint.method != "GET" and not endpoint.plans
        if acts:
            # Whatever stands between may send it twice.
            headers["idempotency-key"] = repeat.key if repeat else uuid4().hex
        body = None
        if endpoint.method == "GET":
            query = {name: _worded(value) for name, value in said.items() if value is not None}
            path += f"?{urlencode(query)}" if query else ""
        else:
            headers["content-type"] = "application/json"
            body = msgspec.json.encode(said)
        answer = self._ask(endpoint.method, self._base + path, headers, body, acts=acts)
        if answer.status >= 300:
            self._refuse(answer, acts=acts)
        try:
            decoded: R = msgspec.json.decode(answer.body, type=endpoint.answer)
        except msgspec.DecodeError as error:
            done = "; it was done" if acts else ""
            why = f"{self._url} answered what this version cannot read: {error}{done}"
            raise click.ClickException(why) from error
        if answer.replayed and type(decoded).without_secret is not Record.without_secret:  # type: ignore[attr-defined]
            raise click.ClickException(_LOST)
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

    def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, *, acts: bool
    ) -> "_Answer":
        connection: http.client.HTTPConnection
        if self._secure:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_SECONDS, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
        try:
            connection.connect()
        except OSError as error:
            raise click.ClickException(f"cannot reach the gateway at {self._url}: {_why(error)}") from error
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return _Answer(
                response.status,
                response.read(_LARGEST_ANSWER),
                response.getheader("location"),
                response.getheader("idempotent-replayed") == "true",
            )
        except (OSError, http.client.HTTPException) as error:
            perhaps = f"; {_PERHAPS}" if acts else ""
            raise click.ClickException(
                f"the gateway at {self._url} was asked and did not answer: {_why(error)}{perhaps}"
            ) from error
        finally:
            connection.close()

    def _refuse(self, answer: "_Answer", *, acts: bool) -> NoReturn:
        status = answer.status
        perhaps = f"; {_PERHAPS}" if acts and status >= 500 else ""
        if status < 400:
            raise click.ClickException(
                f"{self._url} answered {status} and sends on to {printable(answer.location or 'nowhere')}; "
                "say in --url where the gateway is itself"
            )
        try:
            error = msgspec.json.decode(answer.body, type=_ErrorBody).error
        except msgspec.DecodeError as undecoded:
            raise click.ClickException(
                f"{self._url} answered {status}, and not as a gateway does{perhaps}"
            ) from undecoded
        if error.code == "invalid_admin_key":
            raise click.ClickException(f"{self._url} does not accept the key in QUANTIZED_ADMIN_KEY")
        if status == 404 and error.code is None:
            raise click.ClickException(f"{self._url} has no administration API that knows this")
        if found := _NOT_THERE.fullmatch(error.message):
            raise NotThere(found[1], found[2], param=error.param)
        told = "\n".join(map(printable, error.message.split("\n")))
        raise Fault(told.removesuffix(".") + perhaps, param=error.param, code=error.code)


_NOBODY = Actor("", "", "auditor", "command line")


_PERHAPS = "it may have been done: look before you say it again"
_LOST = (
    "this was done when it was first sent, and the answer was lost, with what is shown only once; rotate the "
    "key that was made, or import again with --renew-links or --renew-keys"
)


def _no_url(said: str) -> str:
    return f"{said!r} is no gateway's URL; write https://ai.example.edu"


def _why(error: Exception) -> str:
    return printable(str(error) or type(error).__name__)


def _said(verb: v.Verb[Any]) -> dict[str, Any]:
    """Without what is meant anyway: a gateway that is older than this does not know of every field."""
    meant = {field.name: field.default for field in fields(verb)}
    said: dict[str, Any] = msgspec.to_builtins(verb)
    return {name: value for name, value in said.items() if getattr(verb, name) != meant[name]}


def _in_path(name: str, reference: str) -> str:
    """Raises NotThere for what nothing can be called."""
    if not _REFERENCE.fullmatch(reference):
        raise NotThere(_CALLED.get(name, name.replace("_", " ")), reference, param=name)
    return quote(reference, safe="")


def _worded(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
