"""One page without scripts or foreign assets: outcomes, latency, and the reliability curve as SVG."""

from collections.abc import Mapping
from html import escape
from typing import Any

SIZE, EDGE = 260, 36


def curve(bins: list[list[float]], title: str) -> str:
    """Confidence against the share that was right; a dot's size is its number of utterances."""

    def at(p: float, share: float) -> tuple[float, float]:
        return EDGE + p * SIZE, EDGE / 2 + (1 - share) * SIZE

    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    points = [at(p, share) for p, share, _ in bins]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2.5 + n**0.5:.1f}" fill="#1f6f8b" fill-opacity="0.75">'
        f"<title>{p:.2f} sure, {share:.2f} right, n = {n:.0f}</title></circle>"
        for (x, y), (p, share, n) in zip(points, bins, strict=True)
    )
    ticks = "".join(
        f'<text x="{at(t, 0)[0]:.0f}" y="{y0 + 14:.0f}" text-anchor="middle">{t:g}</text>'
        f'<text x="{x0 - 6:.0f}" y="{at(0, t)[1] + 4:.0f}" text-anchor="end">{t:g}</text>'
        for t in (0, 0.5, 1)
    )
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE + EDGE + 14} {SIZE + EDGE + 26}" width="340" '
        f'font-family="sans-serif" font-size="11" role="img" aria-label="{escape(title)}">'
        f'<rect x="{x0}" y="{y1}" width="{SIZE}" height="{SIZE}" fill="#fff" stroke="#bbb"/>'
        f'<path d="M{x0},{y0} L{x1},{y1}" stroke="#bbb" stroke-dasharray="4 3"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f6f8b"/>{dots}{ticks}'
        f'<text x="{EDGE + SIZE / 2:.0f}" y="{y0 + 30:.0f}" text-anchor="middle">how sure (calibrated)</text>'
        f'<text x="{x0 + 6:.0f}" y="{y1 + 14:.0f}">{escape(title)}</text></svg>'
    )


def page(document: Mapping[str, Any]) -> str:
    """The whole page."""
    machine = document["machine"]
    parts = [
        f"<h1>Understanding: {escape(document['half'])} half</h1>",
        f"<p>{escape(machine['cpu'])}, {machine['cores']} cores, load {document['load']}; version "
        f"{escape(document['commit'][:12])}, {escape(document['when'])}; {escape(document['models'])}. "
        f"{escape(document['note'])}</p>",
    ]
    for name, group in document["groups"].items():
        parts.append(f"<h2>{escape(name)} ({group['outcomes'][0]['n']} utterances)</h2>")
        columns = [key for key in group["outcomes"][0] if key not in ("way", "n")]
        head = "".join(f"<th>{column.replace('_', ' ')}</th>" for column in columns)
        rows = "".join(
            f"<tr><td>{escape(row['way'])}</td>" + "".join(f"<td>{row[c]}</td>" for c in columns) + "</tr>"
            for row in group["outcomes"]
        )
        parts.append(f"<table><tr><th></th>{head}</tr>{rows}</table>")
        times = "; ".join(
            f"{what}: P50 {t['p50']}, P95 {t['p95']} (n = {t['n']})" for what, t in group["latency_ms"].items()
        )
        parts.append(f"<p>Latency in ms. {escape(times)}.</p>")
        found = group["reliability"]
        parts.append(
            curve(found["bins"], f"{name}: ECE {found['ece']:.3f}, Brier {found['brier']:.3f}, n = {found['n']}")
        )
        bins = "".join(f"<tr><td>{p:.2f}</td><td>{s:.2f}</td><td>{n:.0f}</td></tr>" for p, s, n in found["bins"])
        parts.append(f"<table><tr><th>sure</th><th>right</th><th>n</th></tr>{bins}</table>")
    style = "body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid #ddd}td:first-child{text-align:left}"  # noqa: E501
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Understanding</title><style>{style}</style>{"".join(parts)}</html>'  # noqa: E501
