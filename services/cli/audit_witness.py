"""`trunkline audit witness`: the witness process, until Ctrl-C."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import typer
from aiohttp import web

from services.common.clock import Clock
from services.common.errors import InvalidInputError, UnavailableError
from services.records.keys import WITNESS_KEY, load_signer, load_verifier
from services.records.witness_server import Witness, WitnessStore, create_witness_app

_SHUTDOWN_S = 2.0


async def serve(directory: Path, log_keys: Sequence[str], listen: str, clock: Clock, as_json: bool) -> int:
    """Answer until cancelled. Raises SettingsError (no key), InvalidInputError, UnavailableError (port in use)."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidInputError("--listen", expected="HOST:PORT", got=repr(listen))
    signer = load_signer(directory / WITNESS_KEY)
    logs = [load_verifier(key) for key in log_keys]
    app = create_witness_app(Witness(signer, logs, WitnessStore(directory), clock))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, int(port)).start()
        except OSError as error:
            raise UnavailableError(f"{listen} cannot be used: {error.strerror}.", remedy="Choose --listen.") from None
        address = runner.addresses[0]
        url = f"http://{address[0]}:{address[1]}"
        if as_json:
            typer.echo(json.dumps({"event": "ready", "url": url, "key": str(signer.verifier)}))
        else:
            typer.echo(f"Witness {signer.name} at {url} for {', '.join(log.name for log in logs)}.")
            typer.echo(f'For the stack\'s settings:  records.audit.witnesses = ["{url} {signer.verifier}"]')
            typer.echo("Ctrl-C stops it.")
        await asyncio.get_running_loop().create_future()
    finally:
        await runner.cleanup()
    return 0
