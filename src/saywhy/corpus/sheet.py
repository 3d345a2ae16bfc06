"""The style sheet and the script of the report page. Without the script the page is whole; with it tables sort and filter."""

from __future__ import annotations

from ..render import inline_charts, theme

_SIGNS = {name: f"var(--strong-{name})" for name in ("up", "down")}
STYLE = (
    theme.furniture(":root")
    + """
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:76rem;margin:0 auto;padding:.4rem 1.4rem 4rem}
h2{font-size:1.2em;margin:2em 0 .3em}h3{font-size:1em;margin:1.2em 0 .2em}
p{margin:.3em 0;max-width:54rem}.q{color:var(--muted)}
.n{font-size:1.1em;border-left:4px solid var(--strong-down);padding:.3em .8em;margin:.8em 0}
nav{display:flex;flex-wrap:wrap;gap:.3em 1em;margin:.8em 0}a{color:var(--strong-up)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid var(--line);padding:.25em .7em;text-align:right;vertical-align:top;white-space:nowrap}
th{text-align:right;vertical-align:bottom;font-weight:600}th.l,td.l{text-align:left}td.x{white-space:normal;min-width:20em}
th button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer;text-decoration:underline dotted}
th[aria-sort=ascending] button::after{content:" ▲"}th[aria-sort=descending] button::after{content:" ▼"}
input{font:inherit;color:inherit;background:transparent;border:1px solid var(--muted);border-radius:4px;padding:.2em .5em}
summary{cursor:pointer}details p{margin:.2em 0 .5em;white-space:pre-wrap;overflow-wrap:anywhere;text-align:left}
mark{color:inherit;background:color-mix(in srgb,var(--up) 45%,var(--paper));border-radius:2px;padding:0 .1em}
mark.d{background:color-mix(in srgb,var(--down) 45%,var(--paper))}
svg{vertical-align:middle}.v{display:inline-block;min-width:4.4em}.up{fill:var(--strong-up)}.dn{fill:var(--strong-down)}
@media(max-width:40em){main{padding:.4rem .8rem 3rem}}
@media print{nav,input,label{display:none}}
"""
    + inline_charts.style("main", {name: f"var(--{name})" for name in ("ink", "muted", "line")} | _SIGNS)
)

SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.s")) {
  const body = table.tBodies[0], heads = Array.from(table.tHead.rows[0].cells);
  const key = (row, i) => row.cells[i].dataset.v ?? row.cells[i].textContent;
  heads.forEach((head, i) => {
    if (head.classList.contains("x")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = Array.from(body.rows).sort((a, b) => {
        const x = key(a, i), y = key(b, i), m = Number(x), n = Number(y);
        const order = x !== "" && y !== "" && !isNaN(m) && !isNaN(n) ? m - n : x.localeCompare(y);
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
  if (body.rows.length < 8) continue;
  const label = document.createElement("label"), input = document.createElement("input");
  input.type = "search";
  label.append("Only rows with ", input);
  table.parentNode.before(label);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
"""
