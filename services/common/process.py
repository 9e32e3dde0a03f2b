"""The main function of every model service: arguments, settings, logs, metrics, traces, then serve until SIGTERM."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services import __version__
from services.common import event_loop
from services.common.clock import Clock, SystemClock
from services.common.errors import TrunklineError
from services.common.log import configure_logging
from services.common.metrics import start_metrics
from services.common.rpc_server import GrpcService, run_service
from services.common.settings import ServiceSettings, Settings, load_settings
from services.common.tracing import configure_tracing

Build = Callable[[Settings, Clock], GrpcService]


def parse_settings(name: str, argv: list[str] | None = None) -> Settings:
    """Settings from `--config FILE --profile NAME --set section.key=value …` and the environment."""
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{name}",
        description=f"Trunkline's {name} process. Usually started by `trunkline up`.",
        epilog="Every setting can also come from the environment, e.g. TRUNKLINE__LOG__FORMAT=json.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--config", type=Path, help="TOML file with settings")
    parser.add_argument("--profile", choices=["cpu", "nvidia"], help="defaults for this kind of machine")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. asr.threads=2")
    args = parser.parse_args(argv)
    return load_settings(args.config, profile=args.profile, overrides=parse_overrides(args.set))


def parse_overrides(pairs: list[str]) -> dict[str, Any]:
    """`["asr.threads=2"]` → `{"asr": {"threads": "2"}}`; commas make a list where the setting is one."""
    from services.common.settings import ENV_PREFIX, env_tree

    env: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise SystemExit(f"--set: expected KEY=VALUE, got {pair!r} (e.g. --set asr.threads=2).")
        env[ENV_PREFIX + key.strip().replace(".", "__").upper()] = value
    return env_tree(env)


def run_model_service(name: str, build: Build, argv: list[str] | None = None) -> None:
    """Run one service to its end. Exits with status 1 and a sentence when it cannot start."""
    try:
        settings = parse_settings(name, argv)
        section: ServiceSettings = getattr(settings, name)
        configure_logging(settings.log, name)
        configure_tracing(settings.tracing, name)
        start_metrics(section.metrics_port, settings.metrics.host)
        clock = SystemClock()
        service = build(settings, clock)
        event_loop.run(run_service(service, settings.rpc, section, clock), clock)
    except TrunklineError as error:
        sys.exit(f"trunkline {name}: {error}")
    except OSError as error:
        sys.exit(f"trunkline {name}: cannot start: {error.strerror} (is metrics_port or port in use?)")
