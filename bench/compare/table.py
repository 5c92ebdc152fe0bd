# table.py - results as lines of text, printed as they come.
# SPDX-License-Identifier: MIT
import os
import sys
import time

from .results import gemm_peak

COLUMNS = [("", -4), ("workload", -15), ("thr", 3), ("Gradus ms", 10), ("PyTorch ms", 11),
           ("ratio", 7), ("target", 15), ("floor ms", 9), ("/ floor", 8), ("of GEMM", 8),
           ("MB", 7), ("of PyTorch", 10)]


def is_terminal(stream):
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def may_color(stream):
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def number(x, digits=3):
    """Three digits that matter, never an exponent: 0.0066, 1.23, 45.6, 789."""
    if x is None:
        return "-"
    if x == 0:
        return "0"
    places = 0
    while abs(x) * 10 ** places < 10 ** (digits - 1) and places < 6:
        places += 1
    return f"{x:.{places}f}"


def times(x):
    return "-" if x is None else f"{number(x, 3)}x"


def percent(x):
    return "-" if x is None else f"{100 * x:.0f}%"


def paint(text, good, color):
    return f"\033[{32 if good else 31}m{text}\033[0m" if color else text


def cells(r):
    ours, peer = r["programs"].get("ours"), r["programs"].get("peer")
    target = "-"
    if r.get("target"):
        target = times(r["target"])
        if "reached" in r:
            target += " reached" if r["reached"] else " missed"
    return [r["tag"], r["workload"], str(r["threads"]),
            number(ours and ours["step_ms"]), number(peer and peer["step_ms"]),
            times(r.get("speedup")), target, number(r["floor_ms"]), number(r.get("over_floor")),
            percent(r.get("gemm_share")), number(ours and ours["peak_minus_idle_mb"]),
            number(peer and peer["peak_minus_idle_mb"])]


def line(texts, color=None):
    """color: of the target's cell, a function; widths are of what is seen."""
    out = []
    for text, (name, width) in zip(texts, COLUMNS):
        cell = text.ljust(-width) if width < 0 else text.rjust(width)
        out.append(color(cell) if color and name == "target" else cell)
    return " ".join(out).rstrip()


def header():
    return line([name for name, _ in COLUMNS])


def beside(r):
    """(program, whether it is ours, what it means) of those that are neither of the two in the
    line."""
    ours, peer = r["programs"].get("ours"), r["programs"].get("peer")
    for name, p in r["programs"].items():
        if name in ("ours", "peer"):
            continue
        mine = name.startswith("ours")
        slow, fast = (peer, p) if mine else (p, ours)
        ratio = slow and fast and times(slow["step_ms"] / fast["step_ms"])
        meaning = f"{ratio} as fast as PyTorch" if mine else f"Gradus is {ratio} as fast"
        yield p, mine, meaning if ratio else ""


def rows(r, color=False):
    """The line of a result, and one for each further program."""
    mark = (lambda cell: paint(cell, r["reached"], color)) if "reached" in r else None
    out = [line(cells(r), mark)]
    for p, _, meaning in beside(r):
        out.append(f"     {p['label']}: {number(p['step_ms'])} ms, "
                   f"{number(p['peak_minus_idle_mb'])} MB" + (f"; {meaning}" if meaning else ""))
    return out


def machine_lines(machine):
    yield f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']:.1f} at the start"
    for peak in machine["peaks"]:
        fma = ", ".join(f"{name} {x:.0f}" for name, x in peak["fma_gflops"].items())
        yield (f"  {peak['threads']} thread(s): GFLOP/s of multiply-adds {fma}; of products "
               f"{gemm_peak(peak):.0f} (OpenBLAS for {peak['core']} {peak['openblas_gflops']:.0f}, "
               f"Gradus {peak['gradus_gflops']:.0f}); triad {peak['triad_gbs']:.1f} GB/s")


def shortfalls(r):
    """What else is measured of a workload and misses its target."""
    share, least = r.get("gemm_share"), r.get("gemm_target")
    if share is not None and share < least:
        yield f"{percent(share)} of the rate of products, below {percent(least)}"
    part, most = r.get("memory_part"), r.get("memory_target")
    if part is not None and part >= most:
        yield f"{percent(part)} of PyTorch's memory, not below {percent(most)}"
    for label, ratio in r.get("behind", []):
        yield f"{label} is {times(ratio)} as fast"
    for against, ratio, target in r.get("bfloat16", []):
        if ratio < target:
            yield f"in bfloat16 {times(ratio)} as fast as {against}, below {times(target)}"


def closing_lines(results):
    judged = [r for r in results if "reached" in r]
    if judged:
        yield f"targets of speed: {sum(r['reached'] for r in judged)} of {len(judged)} reached"
    for r in results:
        for text in shortfalls(r):
            yield f"  {r['workload']}, {r['threads']} thread(s): {text}"


class Progress:
    """One line that is written over, on terminals only."""

    def __init__(self, total, stream=sys.stderr):
        self.stream, self.total, self.done = stream, total, 0
        self.shown, self.begun = is_terminal(stream), time.monotonic()

    def show(self, text):
        if self.shown:
            spent = time.monotonic() - self.begun
            left = spent / self.done * (self.total - self.done) if self.done else 0
            print(f"\r\033[K{self.done}/{self.total}  {text}  {left:.0f} s left", end="",
                  file=self.stream, flush=True)
        self.done += 1

    def clear(self):
        if self.shown:
            print("\r\033[K", end="", file=self.stream, flush=True)
