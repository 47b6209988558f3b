"""Head of the page: title, link preview, icon and fonts."""

import html
import re
from pathlib import Path
from typing import Any

BRAND = Path(__file__).parent / "brand"
ICON, CARD = BRAND / "icon.png", BRAND / "card.jpg"
# gradio's sign of loading stands in the middle of the page, and would move as the page grows.
LOADING_STYLE = ".app > .wrap.full { position: fixed !important; }"
FONTS = tuple(f"static/fonts/IBMPlexSans/IBMPlexSans-{weight}.woff2" for weight in ("Regular", "Bold"))
OWN_TAGS = re.compile(r'<meta\s+(?:property|name)="(?:og|twitter):[^"]*"\s+content="[^"]*"\s*/>')


def head_tags(title: str, description: str, address: str) -> str:
    """Return title, link preview and fonts as HTML.

    Fonts that are asked for early move no text later.

    Args:
        address: of the page, with a slash at the end.
    """
    values = {
        "og:type": "website",
        "og:title": title,
        "og:description": description,
        "og:url": address,
        "og:image": f"{address}gradio_api/file={CARD}",
        "twitter:card": "summary_large_image",
    }
    return "\n".join(
        [
            f"<title>{html.escape(title)}</title>",
            f'<meta name="description" content="{html.escape(description)}" />',
            *(f'<meta property="{name}" content="{html.escape(value)}" />' for name, value in values.items()),
            f"<style>{LOADING_STYLE}</style>",
            *(f'<link rel="preload" as="font" type="font/woff2" href="{font}" crossorigin />' for font in FONTS),
        ]
    )


def replace_tags(page: str, tags: str) -> str:
    """Put tags into a page, in place of gradio's own."""
    return OWN_TAGS.sub("", page).replace("</head>", f"{tags}\n</head>", 1)


def address_of(scope: dict[str, Any]) -> str:
    """Address of the page, as the visitor knows it."""
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    scheme = headers.get("x-forwarded-proto", scope["scheme"]).split(",")[0].strip()
    return f"{scheme}://{headers.get('x-forwarded-host', headers.get('host', ''))}/"


class OwnHead:
    """ASGI middleware that puts the page's own tags into its HTML.

    gradio's template has a title of its own before that of the page, and no address.
    """

    def __init__(self, app: Any, title: str, description: str) -> None:
        self.app, self.title, self.description = app, title, description

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        start: dict[str, Any] = {}
        parts: list[bytes] = []

        async def rewrite(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            tags = head_tags(self.title, self.description, address_of(scope))
            page = replace_tags(b"".join(parts).decode(), tags).encode()
            kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            await send(start | {"headers": [*kept, (b"content-length", str(len(page)).encode())]})
            await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, rewrite)
