"""`/claim/<secret>`: a one-time link. Opening it uses nothing up, so that programs which read mail and follow
what is in it do no harm; only the button on its page shows the key."""

import base64
import hashlib
import html
import re

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from quantized.admin.pool import AdminPool
from quantized.administration.faults import Conflict, NotThere, TooManyRequests
from quantized.administration.port import Claiming
from quantized.administration.roster_records import CLAIM_PATH
from quantized.core.errors import Fault, Unavailable
from quantized.http.messages import JOURNAL

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_PATIENCE = 5.0
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_STYLE = (
    "body{font:1.05rem/1.5 system-ui,sans-serif;max-width:40rem;margin:12vh auto;padding:0 1.2rem}"
    "h1{font-size:1.4rem}button{font:inherit;padding:.6rem 1.2rem;border:0;border-radius:.4rem;"
    "background:#1d4ed8;color:#fff;cursor:pointer}"
    "code,pre{font:.95rem/1.5 ui-monospace,monospace;background:#f1f1f4;padding:.15rem .35rem}"
    "pre{padding:.8rem;overflow-x:auto}code.key{overflow-wrap:anywhere;user-select:all;display:block;"
    "padding:.8rem}"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
_ASK = """<p>This page shows you an API key, once. Have a place ready where you keep it: it is stored
nowhere else, and this link works a single time.</p>
<form method="post"><button>Show my key</button></form>"""
_SHOWN = """<p>{name}, this is your key. Copy it now: it is not shown again.</p>
<code class="key">{key}</code>
<p>Base URL</p>
<code class="key">{base}</code>
<p>In Python, with the package <code>openai</code>:</p>
<pre>from openai import OpenAI

client = OpenAI(base_url="{base}", api_key="YOUR KEY")</pre>
{until}<p>Whoever has the key spends your credits: share it with nobody.
If it is lost, ask for a new link.</p>"""
_UNTIL = "<p>It works until {at} UTC.</p>\n"
_NOT_NOW = "<p>{why} This link was not used up: it works once whoever sent it to you has changed that.</p>"
_ASK_FOR_ANOTHER = "<p>{why} Ask whoever sent it to you for another one.</p>"

_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
    "content-security-policy": (
        "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; style-src "
        f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
    ),
}


class ClaimPage(Struct, frozen=True):
    pool: AdminPool[Claiming]

    def routes(self) -> list[Route]:
        return [Route(CLAIM_PATH + "{secret:path}", self._answer, methods=list(_METHODS))]

    async def _answer(self, request: Request) -> Response:
        journal = request.scope[JOURNAL]
        # The path is a secret, and is in no log.
        journal.surface = CLAIM_PATH
        match request.method:
            case "GET" | "HEAD":
                return _page("Your API key", _ASK)
            case "POST":
                try:
                    return await self._claimed(request)
                except Fault as fault:
                    journal.note_fault(fault)
                    return _refusal(fault)
            case _:
                return Response(status_code=405, headers={**_HEADERS, "allow": "GET, HEAD, POST"})

    async def _claimed(self, request: Request) -> Response:
        secret: str = request.path_params["secret"]
        if not _SECRET.fullmatch(secret):
            raise NotThere("link", "")
        origin = request.client.host if request.client else "unknown"
        request_id = request.scope[JOURNAL].request_id
        key = await self.pool.ask(lambda desk: desk.claim(secret, origin, request_id), _PATIENCE)
        until = "" if key.expires_at is None else _UNTIL.format(at=key.expires_at[:16].replace("T", " "))
        shown = _SHOWN.format(
            name=html.escape(key.name),
            key=html.escape(key.api_key),
            base=html.escape(key.base_url),
            until=until,
        )
        return _page("Your API key", shown)


def _refusal(fault: Fault) -> Response:
    match fault:
        case NotThere():
            return _page("This link does not work", _ASK_FOR_ANOTHER.format(why="It is not complete."), 404)
        case Conflict(code="ended" | "stopped"):
            return _page("You have no access", _NOT_NOW.format(why=html.escape(fault.message)), 409)
        case Conflict():
            why = _ASK_FOR_ANOTHER.format(why=html.escape(fault.message))
            return _page("This link works no more", why, 410)
        case Unavailable() | TooManyRequests():
            return _page("Try again", "<p>The service did not answer; try again in a moment.</p>" + _ASK, 503)
        case _:
            raise fault


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=title, style=_STYLE, body=body), status, _HEADERS)
