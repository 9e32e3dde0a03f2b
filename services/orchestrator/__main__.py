"""`python -m services.orchestrator`: the process that owns calls."""

import sys

from services.common import event_loop
from services.common.clock import SystemClock
from services.common.errors import TrunklineError
from services.common.log import configure_logging
from services.common.metrics import start_metrics
from services.common.process import parse_settings
from services.common.tracing import configure_tracing
from services.orchestrator.app import serve
from services.orchestrator.node import metrics_port, worker_name


def main(argv: list[str] | None = None) -> None:
    """Run to the end. Exits with status 1 and a sentence when it cannot start."""
    try:
        settings = parse_settings("orchestrator", argv)
        worker = settings.orchestrator.worker
        configure_logging(settings.log, worker_name(worker))
        configure_tracing(settings.tracing, "orchestrator")
        start_metrics(metrics_port(settings, worker), settings.metrics.host)
        clock = SystemClock()
        event_loop.run(serve(settings, clock), clock)
    except* TrunklineError as group:
        sys.exit(f"trunkline orchestrator: {group.exceptions[0]}")
    except* OSError as group:
        sys.exit(f"trunkline orchestrator: cannot start: {group.exceptions[0]}")


if __name__ == "__main__":
    main()
