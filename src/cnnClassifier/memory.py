"""How much memory this process may still take, on a machine of its own or in a container."""

from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

CONTAINER = Path("/sys/fs/cgroup")
GB = 1e9


def available_bytes(container: Path = CONTAINER) -> int:
    """What the machine has to give without swapping, or what a container's limit (control group, v2) leaves of it."""
    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no container, or one without a limit, which says "max"
        limit = int((container / "memory.max").read_text())
        used = int((container / "memory.current").read_text()) - _file_cache(container)
        return max(0, min(free, limit - used))
    return free


def _file_cache(container: Path) -> int:
    """Files that the kernel keeps in memory while nobody else wants it."""
    lines = (line.split() for line in (container / "memory.stat").read_text().splitlines())
    return next((int(count) for name, count in lines if name == "inactive_file"), 0)
