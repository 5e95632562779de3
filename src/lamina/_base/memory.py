"""How much memory is free."""

from __future__ import annotations

from pathlib import Path


def free_memory() -> int:
    """The bytes that this process can still take, as far as the system tells; otherwise a number above all."""
    free = [2**63]
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free.append(1024 * int(fields["MemAvailable"].split()[0]))
        # A container's own limit. What it holds of files can be dropped, so it counts as free.
        group = Path("/sys/fs/cgroup")
        held = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        used = int((group / "memory.current").read_text()) - int(held["inactive_file"])
        free.append(int((group / "memory.max").read_text()) - used)
    except (OSError, KeyError, ValueError):  # no Linux, no container, or "max"
        pass
    return min(free)
