"""The house's palette as a style sheet, for the page and the widget: it follows the system, or the toggle."""

from __future__ import annotations

from ..render.theme import DARK, LIGHT, Palette, channels


def stylesheet(selector: str = ".saywhy") -> str:
    """The rules that give an element the palette as variables; `data-theme` on it, "light" or "dark", overrides the system.

    `--up` and `--down` are "r,g,b", to be laid behind text with the strength of a score.
    """
    light, dark = _variables(LIGHT, "light"), _variables(DARK, "dark")
    return (
        f"{selector}{{{light}}}\n"
        f"@media (prefers-color-scheme: dark){{{selector}{{{dark}}}}}\n"
        f'{selector}[data-theme="light"]{{{light}}}\n{selector}[data-theme="dark"]{{{dark}}}\n'
    )


def _variables(palette: Palette, scheme: str) -> str:
    plain = {name: getattr(palette, name) for name in ("paper", "ink", "muted", "line", "strong_up", "strong_down")}
    mixed = {name: ",".join(map(str, channels(getattr(palette, name)))) for name in ("up", "down")}
    rules = "".join(f"--{name.replace('_', '-')}:{value};" for name, value in {**plain, **mixed}.items())
    ground = "#f4f5f7" if scheme == "light" else "#0d0f12"
    return f"color-scheme:{scheme};--ground:{ground};{rules}"
