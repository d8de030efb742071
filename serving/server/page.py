"""The page at `/`, on which people try models: it asks by the same REST API as programs do."""

import base64
import hashlib
import re
from pathlib import Path

from aiohttp import web

from serving.server.manager import ModelManager

_FILE = Path(__file__).with_suffix(".html")


def content_and_headers() -> tuple[str, dict[str, str]]:
    """Reads the page; its headers let nothing run in it but its own script, and nothing be asked but this server."""
    content = _FILE.read_text(encoding="utf-8")
    digests = {}
    for kind in ("script", "style"):
        [inner] = re.findall(rf"<{kind}>(.*?)</{kind}>", content, re.DOTALL)
        digests[kind] = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digests['script']}'; style-src 'sha256-{digests['style']}'; "
        "connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return content, {
        "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }  # fmt: skip


def add_page(router: web.UrlDispatcher, manager: ModelManager) -> None:
    """Adds the page, and `/models`, which tells it what there is to ask: TensorFlow Serving lists no models."""
    content, headers = content_and_headers()

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=content, content_type="text/html", headers=headers)

    async def models(request: web.Request) -> web.Response:
        return web.json_response(manager.describe(), headers={"Cache-Control": "no-store"})

    router.add_get("/", page)
    router.add_get("/models", models)
