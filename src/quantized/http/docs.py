"""`/docs`: the API's description to browse. Its files come from this process: no page of ours loads anything
from elsewhere."""

from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Quantized API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="{start}"></script>
</body>
</html>
"""

_START = """SwaggerUIBundle({{
  url: "{description}", dom_id: "#ui", deepLinking: true, tryItOutEnabled: true,
}});
"""

_SECURITY = {
    "content-security-policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
}


def _assets() -> Path:
    """Where the package keeps its browser files; found without importing it, which would import more."""
    spec = find_spec("swagger_ui")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package swagger-ui-py is not installed")
    return Path(spec.origin).parent / "static"


def browsable(path: str, description: str) -> list[Route]:
    """A page at `path` to browse the description with; its other files are those of `docs_routes`."""
    start = f"{path}/start.js"

    async def page(_request: Request) -> Response:
        return HTMLResponse(_PAGE.format(start=start), headers=_SECURITY)

    async def script(_request: Request) -> Response:
        text = _START.format(description=description)
        return Response(text, media_type="text/javascript", headers=_SECURITY)

    return [Route(path, page), Route(start, script)]


def docs_routes() -> list[Route]:
    assets = _assets()

    def file(name: str) -> Route:
        async def serve(_request: Request) -> Response:
            return FileResponse(assets / name, headers=_SECURITY)

        return Route(f"/docs/{name}", serve)

    return [
        *browsable("/docs", "/openapi.json"),
        file("swagger-ui.css"),
        file("swagger-ui-bundle.js"),
    ]
