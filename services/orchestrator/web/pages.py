"""The talk page: a handful of files, read once at start, with an ETag each. Nothing comes from elsewhere."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    body: bytes
    content_type: str
    etag: str


def load_assets(directory: Path = STATIC) -> dict[str, Asset]:
    """All files of the page by name. Files of other kinds are not served."""
    assets = {}
    for path in sorted(directory.iterdir()):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            assets[path.name] = Asset(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:32])
    return assets


def add_pages(app: web.Application, assets: dict[str, Asset]) -> None:
    """`/` is index.html, `/static/NAME` every other file."""

    async def send(request: web.Request) -> web.StreamResponse:
        asset = assets.get(request.match_info.get("name", "index.html"))
        if asset is None:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "no-cache", "ETag": f'"{asset.etag}"'}
        if any(tag.value == asset.etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        charset = None if asset.content_type.startswith("font/") else "utf-8"
        return web.Response(body=asset.body, content_type=asset.content_type, charset=charset, headers=headers)

    app.router.add_get("/", send)
    app.router.add_get("/static/{name}", send)
