"""Scheduling priority of the worker: media threads must be on time, and a late one costs 20 ms for the rest of a call.

Since baresip dropped its polling mode (its pull request 3653) every packet goes from the source's thread
("aumem_src") through a buffer to a sender's thread ("Audio TX"), each on its own clock. When the source is late
once, the sender skips a packet and all later ones wait one packet time longer: a standing delay that only grows, up
to 600 ms, and that no clear can reach. Real-time priority for the source keeps it punctual beside model
services that use every core; a better nice value for the process is what remains where that is not allowed.
"""

import os
from pathlib import Path
from typing import Final

from services.common.log import get_logger

log = get_logger(__name__)

# The source only: it wakes 50 times a second and copies one packet. The sender wakes 250 times and encodes: at
# real-time priority fifty calls would starve everything else on a small machine, and when it is late it catches up.
REALTIME: Final = {"aumem_src": 2}
_TASKS: Final = Path("/proc/self/task")


def raise_priority(nice: int) -> bool:
    """Set this process's nice value (threads started later inherit it). False where that is not allowed."""
    if nice >= 0:
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except (PermissionError, AttributeError):
        log.warning(
            "no permission for a higher priority",
            nice=nice,
            remedy="Allow CAP_SYS_NICE (systemd: Nice=-10) or set telephony.nice = 0.",
        )
        return False
    return True


class MediaThreads:
    """Gives the engine's source threads real-time priority as they appear."""

    def __init__(self) -> None:
        self._raised: set[int] = set()
        self._allowed = True

    def raise_new(self) -> int:
        """Raise those not seen before; returns how many. Reads /proc, so not for the event loop."""
        if not self._allowed:
            return 0
        present = {int(entry.name) for entry in _TASKS.iterdir()}
        self._raised &= present
        # A thread is named after it has started: one that is not (yet) a media thread is looked at again.
        new = {tid for tid in present - self._raised if self._raise(tid)}
        self._raised |= new
        return len(new)

    def _raise(self, tid: int) -> bool:
        try:
            priority = REALTIME.get((_TASKS / str(tid) / "comm").read_text().strip())
            if priority is None:
                return False
            os.sched_setscheduler(tid, os.SCHED_RR, os.sched_param(priority))
        except PermissionError:
            self._allowed = False
            log.warning(
                "no permission for real-time media threads",
                remedy="Allow CAP_SYS_NICE (systemd: LimitRTPRIO=2); without it a loaded machine adds delay to calls.",
            )
            return False
        except (ProcessLookupError, FileNotFoundError):
            # The call ended meanwhile.
            return False
        return True
