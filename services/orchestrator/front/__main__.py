"""`python -m services.orchestrator.front`: the process that has the machine's web port when there are workers."""

import asyncio
import signal
import sys

import uvloop

from services.common.clock import Clock, SystemClock
from services.common.errors import TrunklineError
from services.common.log import configure_logging, get_logger
from services.common.metrics import start_metrics
from services.common.process import parse_settings
from services.common.settings import Settings
from services.orchestrator.front.app import create_front
from services.orchestrator.front.workers import Workers
from services.orchestrator.web.server import start_web

log = get_logger(__name__)


async def serve(settings: Settings, clock: Clock) -> None:
    """Until SIGTERM or SIGINT. Raises SettingsError when the port cannot be had."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stopping.set)
    async with Workers(settings) as workers:
        web = await start_web(create_front(workers, settings, clock), settings.web)
        log.info("front ready", address=web.url, workers=len(workers.numbers))
        await stopping.wait()
        await web.stop()
    log.info("front stopped")


def main(argv: list[str] | None = None) -> None:
    """Run to the end. Exits with status 1 and a sentence when it cannot start."""
    try:
        settings = parse_settings("orchestrator.front", argv)
        configure_logging(settings.log, "front")
        start_metrics(settings.orchestrator.metrics_port, settings.metrics.host)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, SystemClock()))
    except TrunklineError as error:
        sys.exit(f"trunkline front: {error}")
    except OSError as error:
        sys.exit(f"trunkline front: cannot start: {error}")


if __name__ == "__main__":
    main()
