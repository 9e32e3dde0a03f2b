"""Scheduling priority of the worker: media threads must be on time, and a late one costs 20 ms for the rest of a call.

The engine hands each packet from one thread to another on separate clocks; when the first is late once, the second
sends without it and every later packet of that call waits one packet time longer. A higher priority keeps the
threads punctual beside model services that use every core.
"""

import os

from services.common.log import get_logger

log = get_logger(__name__)


def raise_priority(nice: int) -> bool:
    """Set this process's nice value (its threads started later inherit it). False where that is not allowed."""
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
