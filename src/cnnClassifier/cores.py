"""How many cores this process may use: fewer than the machine has, in a container or under `taskset`."""

import math
import os
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Those it may run on, or the time that its control group (version 2) allows, in cores rounded up; at least 1."""
    may_run_on = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(may_run_on, _quota(root))))


def _quota(root: Path) -> float:
    try:
        group = (root / "proc/self/cgroup").read_text().rpartition("::/")[2].strip()
        allowed, period = (root / "sys/fs/cgroup" / group / "cpu.max").read_text().split()
        return int(allowed) / int(period)
    except (OSError, ValueError):  # no Linux, no such group, or "max"
        return math.inf
