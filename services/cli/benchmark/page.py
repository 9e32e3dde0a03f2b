"""The frame of every page a benchmark writes: one file, no script, no foreign asset, light and dark, for phones too."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
:root{color-scheme:light dark;--ink:#1c1e21;--soft:#5b6066;--line:#d5d8dc;--page:#fff;--card:#f5f6f8;
--good:#1a7f37;--bad:#b42318;--few:#8a5a00;--c0:#1f5fa8;--c1:#c2610c;--c2:#2f7d32;--c3:#b3261e;--c4:#7b4fa3;--c5:#7a5a3c;
--c6:#00757f;--c7:#9a7500;--c8:#5f6670}
@media(prefers-color-scheme:dark){:root{--ink:#e6e7e9;--soft:#a0a6ad;--line:#3a3f45;--page:#15171a;--card:#1f2226;
--good:#57c26e;--bad:#ff8a80;--few:#e3b341;--c0:#7ab2f0;--c1:#f5a35c;--c2:#7fcb82;--c3:#f28b82;--c4:#c6a2ea;--c5:#c9a98a;
--c6:#5fc9d3;--c7:#e2c044;--c8:#aab0b8}}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.2rem 1rem 4rem;color:var(--ink);
background:var(--page)}
h1{font-size:1.5rem;line-height:1.25;margin:.4rem 0} h2{font-size:1.2rem;margin:2.4rem 0 .4rem}
h3{font-size:1rem;margin:1.4rem 0 .2rem} p{margin:.5rem 0} .note{color:var(--soft);font-size:.9rem}
.lead{font-size:1.1rem} .good{color:var(--good);font-weight:600} .bad{color:var(--bad);font-weight:600}
.few{color:var(--few);font-weight:600}
.wide{overflow-x:auto;margin:.5rem 0}
table{border-collapse:collapse;font-size:.9rem} td,th{padding:.28rem .9rem .28rem 0;text-align:right;
font-variant-numeric:tabular-nums;vertical-align:top;white-space:nowrap} tr>:last-child{padding-right:0}
td.t,th.t,td:first-child,th:first-child{text-align:left} td.w{white-space:normal;min-width:11rem}
th{border-bottom:1px solid var(--line);
color:var(--soft);font-weight:600} tr+tr>td{border-top:1px solid var(--line)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.7rem;margin:1rem 0}
.card{background:var(--card);border-radius:8px;padding:.7rem .9rem;font-size:.85rem;color:var(--soft)}
.card b{display:block;font-size:1.45rem;line-height:1.3;color:var(--ink)}
svg{display:block;width:100%;min-width:34rem;height:auto;max-width:56rem}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)} svg .soft{fill:var(--soft)}
svg .grid{stroke:var(--line);stroke-width:1}
details{border:1px solid var(--line);border-radius:8px;padding:.6rem .9rem;margin:.6rem 0}
@media(max-width:40rem){svg{min-width:29rem} svg text{font-size:15px}}
summary{cursor:pointer;font-weight:600} audio{width:100%;max-width:28rem;height:2.4rem;margin:.3rem 0}
.turn{border-top:1px solid var(--line);padding:.7rem 0} ul{padding-left:1.2rem} li{margin:.25rem 0}
"""


def page(title: str, body: Sequence[str]) -> str:
    """A whole document. `title` is plain text; `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[int] = (0,), wrap: int = -1) -> str:
    """Plain text cells; the columns in `text` are words, `wrap` may break into lines. Scrolls on a narrow screen."""

    def kind(column: int) -> str:
        names = ("t" if column in text else "", "w" if column == wrap else "")
        shown = " ".join(name for name in names if name)
        return f' class="{shown}"' if shown else ""

    top = "".join(f"<th{kind(i)}>{escape(h)}</th>" for i, h in enumerate(head))
    lines = ("".join(f"<td{kind(i)}>{escape(c)}</td>" for i, c in enumerate(row)) for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'


def cards(items: Sequence[tuple[str, str]]) -> str:
    """Figures to see first: (what, figure)."""
    made = (f'<div class="card">{escape(name)}<b>{escape(value)}</b></div>' for name, value in items)
    return f'<div class="cards">{"".join(made)}</div>'


def plot(svg: str) -> str:
    """An SVG that scrolls rather than shrinks to nothing."""
    return f'<div class="wide">{svg}</div>'


def number(value: float | None) -> str:
    """Whole ms."""
    return "–" if value is None else f"{value:.0f}"


def with_interval(row: Mapping[str, Any] | None, percent: str) -> str:
    """ "440 (431–452)"."""
    if not row or row.get(f"{percent}_ms") is None:
        return "–"
    interval = row.get(f"{percent}_ci_ms")
    value = number(row[f"{percent}_ms"])
    return f"{value} ({interval[0]:.0f}–{interval[1]:.0f})" if interval else value
