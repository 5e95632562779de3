"""The additional values of `verbose="rich"`: the rows per second, the memory, and the time left for the whole run."""

from __future__ import annotations

from pathlib import Path


def details(per_step: float, rows: int | None, left: float | None) -> str:
    """Format the details; unknown values are left out.

    >>> details(0.002, rows=32, left=75).replace(f" - {memory()}", "")
    '16,000 rows/s - ETA 1:15'

    Args:
        per_step: the seconds of a step.
        rows: the number of rows in a step.
        left: the seconds until the end of the run.
    """
    speed = f"{rows / per_step:,.0f} rows/s" if rows and per_step else ""
    return " - ".join(filter(None, (speed, memory(), "" if left is None else f"ETA {clock(left)}")))


def memory() -> str:
    """The memory of the process, without that of an accelerator, on Linux; "" on other systems."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return f"{int(fields['VmRSS'].split()[0]) / 1024:,.0f} MB"
    except (OSError, KeyError, ValueError):
        return ""


def clock(seconds: float) -> str:
    """
    >>> clock(9), clock(75), clock(3661)
    ('9s', '1:15', '1:01:01')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}" if minutes else f"{rest}s"
