"""The results as a Markdown table: ratios of medians, and each goal beside its ratio."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from peers import LAMINAS, PEERS, Peer
from programs import FIGURES, PROGRAMS

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def markdown(result: dict[str, Any]) -> str:
    machine, rows = result["machine"], result["rows"]
    products = [gflops for row in rows.values() for gflops in row.get("gflops", [])]
    peak = max(products, default=0.0)
    said = [
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}",
        *filter(None, result["peers"].values()),
        f"medians of {result['rounds']} rounds"
        + (" of a QUICK run, which measures nothing" if result["quick"] else ""),
        *([f"matrix product (2048 x 2048, float32) {min(products):.0f} to {peak:.0f} GFLOP/s"] if products else []),
    ]
    peers = [peer for peer in PEERS.values() if peer.name in result["peers"]]
    header = ["", *(peer.title for peer in (*LAMINAS, *peers))]
    ordered = [name for name in (*PROGRAMS, *FIGURES) if name in rows]
    lines = [cells(name, rows[name], peers, peak) for name in ordered]
    return "\n".join(["; ".join(said) + ".", "", *table(header, lines)])


def cells(name: str, row: dict[str, Any], peers: list[Peer], peak: float) -> list[str]:
    """The title, the times of Lamina with and without oneDNN, and for each peer the time, the ratio and the goals."""
    what, show = PROGRAMS.get(name) or FIGURES[name], size if "bytes" in row else duration
    medians = {peer: median(each) for peer, each in (row.get("seconds") or row["bytes"]).items()}
    own = [medians[lamina.name] for lamina in LAMINAS]
    line = [f"training step, {what.title}" if name in PROGRAMS else what.title]
    line += [show(each) + against_limit(name, row, each, peak) for each in own]
    best = min((medians[peer.name] for peer in peers if peer.name in medians), default=0)
    for peer in peers:
        if peer.name not in medians:
            line.append("")
            continue
        theirs = medians[peer.name]
        ratios = [theirs / each for each in own]
        goals = [what.goals[key] for key in (peer.name, "best" if theirs == best else "") if key in what.goals]
        said = f"{show(theirs)}, {both(f'{ratio:.2f}x' for ratio in ratios)}"
        if goals:
            goal = [max(each) for each in zip(*goals, strict=True)]
            verdicts = both("met" if ratio >= least else "missed" for ratio, least in zip(ratios, goal, strict=True))
            said += f" (goal {both(f'{least:.2g}x' for least in goal)}: {verdicts})"
        line.append(said)
    return line


def against_limit(name: str, row: dict[str, Any], own: float, peak: float) -> str:
    if name in PROGRAMS:
        return f", {row['flops'] / own / 1e9 / peak:.0%} of the peak"
    figure = FIGURES[name]
    if not figure.limit:
        return ""
    limit = median(row["seconds"][figure.limit])
    verdict = "met" if own <= figure.most * limit else "missed"
    return f", {own / limit:.2f}x {figure.limit}, {duration(limit)} (goal at most {figure.most:g}x: {verdict})"


def both(said: Iterable[str]) -> str:
    """The texts for Lamina with oneDNN and without it; only one if they are equal."""
    return " / ".join(dict.fromkeys(said))


def duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 0.01 else f"{seconds * 1e6:,.0f} µs"


def size(held: float) -> str:
    return f"{held / 2**20:,.0f} MiB"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table with aligned columns, which is easy to read in a terminal."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]


def insert(text: str, path: Path) -> None:
    """Replace the text between the two markers of a file."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
