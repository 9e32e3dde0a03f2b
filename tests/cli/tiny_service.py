"""A process as small as can be that behaves like a service: writes its state to a file the probe reads.

Run as `python tiny_service.py STATE_FILE [fail|stubborn]`.
"""

import os
import signal
import sys
import time
from pathlib import Path

state = Path(sys.argv[1])
mode = sys.argv[2] if len(sys.argv) > 2 else ""
if mode == "fail":
    sys.exit("trunkline tiny: model x is missing. Run `trunkline models fetch x`.")


def stop(_signum: int, _frame: object) -> None:
    if mode != "stubborn":
        state.write_text("stopped")
        sys.exit(0)


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGUSR1, stop)
print('{"event": "hello", "level": "info"}', flush=True)
state.write_text(str(os.getpid()))
while True:
    time.sleep(60)
