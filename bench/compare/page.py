# page.py - results as one HTML file with two charts, in the look of the library's own pictures.
# SPDX-License-Identifier: MIT
import math
from html import escape

from .table import beside, machine_lines, number, percent, shortfalls, times

INK, FAINT, LINE, GRID = "#1f2937", "#6b7280", "#9ca3af", "#e5e7eb"
COLORS = ["#0072b2", "#56b4e9", "#d55e00", "#e69f00"]  # Okabe and Ito, by number of threads
FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
NAMES, PANEL, BAR, GAP, TOP, BOTTOM, MARGIN = 150, 560, 11, 9, 56, 44, 24

STYLE = f"""
body {{ font: 15px/1.45 {FONT}; color: {INK}; background: #fff; max-width: 66em;
        margin: 2em auto; padding: 0 1em; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.2em 0.6em; text-align: right; border-bottom: 1px solid {GRID}; }}
th {{ color: {FAINT}; font-weight: 600; vertical-align: bottom; }}
th:nth-child(-n+2), td:nth-child(-n+2) {{ text-align: left; }}
.beside td {{ color: {FAINT}; border-bottom: none; }}
.reached {{ color: #047857; }} .missed {{ color: #b91c1c; }}
.wide {{ overflow-x: auto; }} svg {{ max-width: 100%; height: auto; }}
p.small {{ color: {FAINT}; }}
"""


# --- charts ---

def label(x, y, text, size=11, fill=FAINT, anchor="start", bold=False):
    weight = ' font-weight="600"' if bold else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" '
            f'text-anchor="{anchor}"{weight}>{escape(text)}</text>')


def vertical(x, top, bottom, stroke, more=""):
    return (f'<line x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" '
            f'stroke="{stroke}" {more}/>')


def ticks(low, high):
    """1, 2, 5 times powers of ten; without the 2 and 5 where that is too many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 4 else (1,)
    return [s * 10.0 ** d for d in decades for s in steps if low <= s * 10.0 ** d <= high]


class Axis:
    """Logarithmic, from a little below the least value (at most 0.5) to a little above the
    largest."""

    def __init__(self, values):
        self.low = min([0.5, *values]) / 1.15
        self.high = max([2, *values]) * 1.25

    def place(self, value):
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return MARGIN + NAMES + PANEL * part


def legend(names, y):
    x, out = MARGIN + NAMES, []
    for name, color in names:
        out.append(f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="11" height="11" rx="2" '
                   f'fill="{color}"/>')
        out.append(label(x + 17, y, name, fill=INK))
        x += 40 + 6.5 * len(name)
    return out


def bars(title, unit, groups, names):
    """groups: (name, [(value or None, target or None, color)]); every bar starts at 1."""
    values = [v for _, group in groups for bar in group for v in bar[:2] if v]
    if not values:
        return ""
    axis, tall = Axis(values), sum(len(g) * BAR + GAP for _, g in groups)
    bottom, width = TOP + tall, MARGIN + NAMES + PANEL + 70
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + BOTTOM}" '
           f'width="{width}" height="{bottom + BOTTOM}" font-family="{FONT}" role="img" '
           f'aria-label="{escape(title)}">',
           label(MARGIN, 20, title, 14, INK, bold=True), *legend(names, 40)]
    for tick in ticks(axis.low, axis.high):
        out.append(vertical(axis.place(tick), TOP, bottom, GRID))
        out.append(label(axis.place(tick), bottom + 16, f"{tick:g}{unit}", anchor="middle"))
    y = TOP
    for name, group in groups:
        out.append(label(MARGIN + NAMES - 8, y + len(group) * BAR / 2 + 4, name, fill=INK,
                         anchor="end"))
        for value, target, color in group:
            out += bar(axis, y, value, target, color)
            y += BAR
        y += GAP
    out.append(vertical(axis.place(1), TOP, bottom, LINE))
    return "\n".join([*out, "</svg>"])


def bar(axis, y, value, target, color):
    out = []
    if value:
        left, right = sorted((axis.place(1), axis.place(value)))
        out.append(f'<rect x="{left:.1f}" y="{y + 1:.1f}" width="{max(right - left, 1):.1f}" '
                   f'height="{BAR - 2}" rx="1.5" fill="{color}"/>')
        mark = axis.place(target) if target else 0
        clear = max(right, mark if right < mark < right + 40 else 0)  # of the bar and the mark
        out.append(label(clear + 4, y + BAR - 2, f"{number(value)}", 10))
    if target:
        out.append(vertical(axis.place(target), y, y + BAR, INK, 'stroke-width="2"'))
    return out


def chart(results, title, key, mark=None):
    """r[key] of every workload that has it, by number of threads; r[mark] as a mark."""
    threads = sorted({r["threads"] for r in results})
    color = dict(zip(threads, COLORS))
    groups = {}
    for r in results:
        if key in r:
            bar_of = (r[key], r.get(mark), color[r["threads"]])
            groups.setdefault(r["workload"], []).append(bar_of)
    names = [(f"{t} thread{'s' * (t > 1)}", color[t]) for t in threads]
    return bars(title, "x", list(groups.items()), names)


def speed_chart(results):
    return chart(results, "Times as fast as PyTorch (marks: targets)", "speedup", "target")


def floor_chart(results):
    return chart(results, "Time over the floor (1: as fast as this machine can)", "over_floor")


# --- the table ---

HEAD = ["", "workload", "threads", "Gradus, ms", "PyTorch, ms", "ratio", "target", "floor, ms",
        "over floor", "rate of products", "Gradus, MB", "PyTorch, MB"]


def milliseconds(p):
    if not p:
        return "-"
    low, high = p["step_ms_range"]
    return (f'<span title="{number(low)} to {number(high)} over the rounds">'
            f'{number(p["step_ms"])}</span>')


def in_column(mine, text):
    """Two cells: ours and PyTorch's."""
    return f"<td>{text}</td><td></td>" if mine else f"<td></td><td>{text}</td>"


def row(r):
    ours, peer = r["programs"].get("ours"), r["programs"].get("peer")
    verdict = "" if "reached" not in r else "reached" if r["reached"] else "missed"
    cells = [r["tag"], escape(r["title"]), r["threads"], milliseconds(ours), milliseconds(peer),
             times(r.get("speedup")),
             f'<span class="{verdict}">{times(r.get("target"))} {verdict}</span>',
             number(r["floor_ms"]), number(r.get("over_floor")), percent(r.get("gemm_share")),
             number(ours and ours["peak_minus_idle_mb"]),
             number(peer and peer["peak_minus_idle_mb"])]
    yield "<tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"
    for p, mine, meaning in beside(r):
        mb = number(p["peak_minus_idle_mb"])
        yield (f'<tr class="beside"><td></td><td>{escape(p["label"])}</td><td></td>'
               f'{in_column(mine, milliseconds(p))}<td colspan="5">{escape(meaning)}</td>'
               f'{in_column(mine, mb)}</tr>')
    for text in shortfalls(r):
        yield (f'<tr class="beside"><td></td><td class="missed" colspan="11">{escape(text)}</td>'
               '</tr>')


def page(report):
    results = report["results"]
    head = "".join(f"<th>{h}</th>" for h in HEAD)
    body = "\n".join(line for r in results for line in row(r))
    machine = "<br>".join(escape(line) for line in machine_lines(report["machine"]))
    failed = "".join(f"<p class=\"missed\">{escape(f)}</p>" for f in report["failures"])
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gradus: measurements</title><style>{STYLE}</style></head><body>
<h1>Gradus next to PyTorch</h1>
<p class="small">{escape(report["date"])}. {machine}</p>
{failed}
{speed_chart(results)}
{floor_chart(results)}
<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></div>
<p class="small">Medians over {report["rounds"]} interleaved rounds of the median step; point at a
time for its range. Ratio: PyTorch's time by ours. Floor: operations at the best rate of products of
1024x1024 matrices measured in the same minute, or bytes at that of triad, whichever takes longer.
What else a step needs counts as free, and Winograd's algorithm needs fewer operations than are
counted. The floor of tiny and chain is the same arithmetic in plain C. MB: peak minus what the
process took before it made anything.</p>
</body></html>
"""
