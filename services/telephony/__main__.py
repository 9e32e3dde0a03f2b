"""`python -m services.telephony`: the SIP/RTP worker as a process.

A test caller is the same process with other settings, e.g.
`--set telephony.port=0 --set telephony.sip.port=0 --set telephony.jitter_buffer=off --set telephony.metrics_port=0`.
"""

from services.common.process import run_model_service
from services.telephony.server import build

if __name__ == "__main__":
    run_model_service("telephony", build)
