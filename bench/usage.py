"""What processes use, from /proc."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(*pids: int) -> float:
    """Processor time of these processes by now, in seconds."""
    return sum(sum(map(int, _stat(pid)[11:13])) for pid in pids) / TICKS


def busy_seconds() -> float:
    """Processor time that the machine has given to anything by now, in seconds."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / TICKS


def own_seconds() -> float:
    """Processor time of this process, and of its children that have ended, by now, in seconds."""
    times = os.times()
    return sum(times[:4])


def memory_megabytes(*pids: int) -> float:
    """Memory that these processes have and share with none, in MB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def resident_mebibytes(*pids: int) -> tuple[float, float]:
    """Resident memory of these processes now, and the sum of the most that each has had, in MiB."""
    found = [dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()) for pid in pids]
    now, peak = (sum(int(status[key].split()[0]) for status in found) for key in ("VmRSS", "VmHWM"))
    return now / 1024, peak / 1024


def machine() -> str:
    """The processors, as in `2 cores (AMD EPYC)`."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    cores = len(re.findall(r"^processor", cpuinfo, flags=re.MULTILINE))
    return f"{cores} cores ({model[1] if model else platform.machine()})"


def tree(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in tree(int(child)))]


def descendants(*names: str) -> list[int]:
    """Those of the processes that this one has started, or their children, that run a program of one of these names."""
    return [pid for pid in tree(os.getpid()) if Path(f"/proc/{pid}/comm").read_text().strip() in names]


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which may have blanks in it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
