"""What every page shares: escaping, and a document that needs nothing else and may load nothing else."""

from __future__ import annotations

import base64
import hashlib
import html

from . import content


def safe(text: object) -> str:
    """The text for HTML, escaped; control characters and what cannot be written as UTF-8 are visible escapes."""
    return html.escape(content.visible(str(text)))


def document(title: str, body: str, style: str = "", script: str = "", images: bool = False) -> str:
    """A complete HTML document. Only its own style and this one script run; `images` may be part of the page itself."""
    allowed = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    if images:
        allowed += "; img-src data:"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        allowed += f"; script-src 'sha256-{digest}'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{allowed}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n{f'<style>{style}</style>' if style else ''}\n</head>\n<body>\n{body}\n"
        f"{f'<script>{script}</script>' if script else ''}</body>\n</html>\n"
    )
