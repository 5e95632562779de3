"""The results as a Markdown table: ratios of medians, and each goal beside its ratio."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from peers import LAMINA, PEERS, Peer
from programs import FIGURES, PROGRAMS

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def markdown(result: dict[str, Any]) -> str:
    machine, rows = result["machine"], result["rows"]
    products = [gflops for row in rows.values() for gflops in row.get("gflops", [])]
    peak = max(products, default=0.0)
    said = [
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}",
        *result["peers"].values(),
        f"medians of {result['rounds']} rounds"
        + (" of a QUICK run, which measures nothing" if result["quick"] else ""),
        *([f"matrix product (2048 x 2048, float32) {min(products):.0f} to {peak:.0f} GFLOP/s"] if products else []),
    ]
    peers = [peer for peer in PEERS.values() if peer.name in result["peers"]]
    header = ["", LAMINA.title, *(peer.title for peer in peers), "Lamina against the limit"]
    ordered = [name for name in (*PROGRAMS, *FIGURES) if name in rows]
    lines = [[*cells(name, rows[name], peers), against_limit(name, rows[name], peak)] for name in ordered]
    return "\n".join(["; ".join(said) + ".", "", *table(header, lines)])


def cells(name: str, row: dict[str, Any], peers: list[Peer]) -> list[str]:
    """Title, Lamina's time, and each peer's with how many times Lamina's it is."""
    what = PROGRAMS.get(name) or FIGURES[name]
    medians = {peer: median(times) for peer, times in row["seconds"].items()}
    own = medians[LAMINA.name]
    title = f"training step, {what.title}" if name in PROGRAMS else what.title
    line = [title, duration(own)]
    for peer in peers:
        ratio, goal = medians[peer.name] / own, what.goals.get(peer.name)
        verdict = f" (goal {goal:g}x: {'met' if ratio >= goal else 'missed'})" if goal else ""
        line.append(f"{duration(medians[peer.name])}, {ratio:.2f}x{verdict}")
    return line


def against_limit(name: str, row: dict[str, Any], peak: float) -> str:
    own = median(row["seconds"][LAMINA.name])
    if name in PROGRAMS:
        return f"{row['flops'] / own / 1e9 / peak:.0%} of the matrix-product peak"
    figure = FIGURES[name]
    if not figure.limit:
        return ""
    limit = median(row["seconds"][figure.limit])
    verdict = "met" if own <= figure.most * limit else "missed"
    return f"{own / limit:.2f}x {figure.limit}, {duration(limit)} (goal at most {figure.most:g}x: {verdict})"


def duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1e6:,.0f} µs"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown with its columns in line, so that it reads well in a terminal too."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]


def insert(text: str, path: Path) -> None:
    """Replace what stands between the file's two markers."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
