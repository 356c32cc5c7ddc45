"""Draws figures as SVG: what 100,000 tokens cost by tier, and how late tokens come."""

from collections.abc import Iterator
from html import escape

from tests.bench.results import ALL, CPU, DIRECT, OURS, P50, P99, TOKENS, Figures, Results

WIDTH, BAR, GAP, LEFT, SCALE = 760, 22, 8, 150, 460
NAMES = {DIRECT: "direct server", OURS: "talklog"}
COLOURS = {
    "server": "#8a8f98",
    "gateway": "#3b82f6",
    "worker": "#10b981",
    "persister": "#f59e0b",
    "kafka": "#8b5cf6",
    "postgres": "#ec4899",
    "redis": "#ef4444",
}
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#57606a}.title{font-weight:600}"
    "@media(prefers-color-scheme:dark){text{fill:#adbac7}}"
)


def drawn(results: Results) -> str:
    """Give a picture of the medians, one panel a scenario and figure."""
    parts: list[str] = []
    y = 10
    for scenario in results.loads:
        medians = {name: results.median(scenario, name) for name in NAMES}
        costs = {name: list(_tiers(median)) for name, median in medians.items()}
        late = {name: [("p50", m[P50]), ("p99", m[P99])] for name, m in medians.items()}
        ratio = medians[OURS][ALL] / medians[DIRECT][ALL]
        title = f"{scenario}: CPU seconds for {TOKENS:,} tokens ({ratio:.2f} x)"
        panels = [(title, costs), (f"{scenario}: added ms, p50 and p99", late)]
        # A token of these is the cost of being there, or of an answer.
        for heading, rows in panels[scenario in ("rest", "short") :]:
            panel, y = _panel(heading, rows, y, stacked=rows is costs)
            parts += panel
    used = {
        tier for rows in results.loads.values() for each in rows.values() for tier in _named(each)
    }
    parts += _legend([tier for tier in COLOURS if tier in used], y)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 30}" role="img" '
        f'aria-label="What talklog costs beside a direct server">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def _named(repeats: list[Figures]) -> list[str]:
    return [tier for tier, _ in _tiers(repeats[0])]


def _tiers(median: Figures) -> Iterator[tuple[str, float]]:
    for figure, value in median.items():
        if figure.startswith(CPU) and figure != ALL:
            yield figure.removeprefix(CPU), value


def _panel(
    title: str, rows: dict[str, list[tuple[str, float]]], y: int, *, stacked: bool
) -> tuple[list[str], int]:
    """Give a title and its bars, and where the next panel begins."""
    parts = [_text(8, y + 14, title, "title")]
    y += 24
    totals = [
        sum(v for _, v in row) if stacked else max(v for _, v in row) for row in rows.values()
    ]
    pixels_a_unit = SCALE / max(*totals, 1e-9)
    for name, row in rows.items():
        parts.append(_text(8, y + 15, NAMES[name]))
        x = float(LEFT)
        height = BAR if stacked else BAR / len(row)
        for number, (label, value) in enumerate(row):
            top = y if stacked else y + number * height
            colour = COLOURS.get(label) or COLOURS["server" if name == DIRECT else "gateway"]
            told = f"<title>{escape(label)} {value:.1f}</title>"
            parts.append(
                f'<rect x="{x:.1f}" y="{top:.1f}" width="{value * pixels_a_unit:.1f}" '
                f'height="{height:.1f}" fill="{colour}">{told}</rect>'
            )
            x += value * pixels_a_unit if stacked else 0
        end = x if stacked else LEFT + max(v for _, v in row) * pixels_a_unit
        values = [sum(v for _, v in row)] if stacked else [v for _, v in row]
        parts.append(_text(end + 6, y + 15, " / ".join(f"{value:.1f}" for value in values)))
        y += BAR + GAP
    return parts, y + 8


def _legend(tiers: list[str], y: int) -> list[str]:
    parts = []
    for number, tier in enumerate(tiers):
        x = 8 + number * 100
        parts.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{COLOURS[tier]}"/>')
        name = "direct server" if tier == "server" else tier
        parts.append(_text(x + 17, y + 11, name))
    return parts


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{named}>{escape(words)}</text>'
