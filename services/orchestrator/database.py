"""`python -m services.orchestrator.database`: the one owner of the embedded PostgreSQL where workers share it."""

import asyncio
import signal
import sys

from services.common.clock import Clock, SystemClock
from services.common.errors import TrunklineError
from services.common.log import configure_logging, get_logger
from services.common.process import parse_settings
from services.common.settings import Settings
from services.orchestrator.store.embedded import EmbeddedPostgres

log = get_logger(__name__)


async def serve(settings: Settings, clock: Clock) -> None:
    """Until SIGTERM or SIGINT. Raises UnavailableError with the end of the server's log."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stopping.set)
    server = EmbeddedPostgres(settings.data_dir, clock)
    await server.start()
    log.info("database ready", pid=server.pid)
    try:
        await stopping.wait()
    finally:
        await server.stop()
    log.info("database stopped")


def main(argv: list[str] | None = None) -> None:
    """Run to the end. Exits with status 1 and a sentence when it cannot start."""
    try:
        settings = parse_settings("orchestrator.database", argv)
        configure_logging(settings.log, "database")
        asyncio.run(serve(settings, SystemClock()))
    except TrunklineError as error:
        sys.exit(f"trunkline database: {error}")


if __name__ == "__main__":
    main()
