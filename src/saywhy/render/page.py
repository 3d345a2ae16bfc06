"""What every page shares: escaping, and a document that needs nothing else and may load nothing else."""

from __future__ import annotations

import base64
import hashlib
import html

from . import content, theme


def safe(text: object) -> str:
    """The text for HTML, escaped; control characters and what cannot be written as UTF-8 are visible escapes."""
    return html.escape(content.visible(str(text)))


# A checkbox that style alone reads (:has), so that a reader can have the other scheme than the system's without a script.
_SWITCH = '<header class="saywhy-switch"><label><input type="checkbox" id="saywhy-scheme"> Switch light and dark</label></header>'


def document(title: str, body: str, style: str = "", script: str = "", images: bool = False) -> str:
    """A complete HTML document with the switch between light and dark.

    Only its own style and this one script run; `images` may be part of the page itself.
    """
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
        f"<title>{safe(title)}</title>\n<style>{theme.around()}{style}</style>\n</head>\n<body>\n{_SWITCH}\n<main>\n{body}\n</main>\n"
        f"{f'<script>{script}</script>' if script else ''}</body>\n</html>\n"
    )
