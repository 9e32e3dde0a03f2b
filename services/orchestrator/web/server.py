"""Serves the application on a TCP port, with HTTPS when a certificate is set, or behind the front on a unix socket."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from services.common.errors import SettingsError
from services.common.settings import WebSettings

SHUTDOWN_S = 5.0


@dataclass(frozen=True, slots=True)
class RunningWeb:
    """A listening server; `url` is where a browser goes."""

    url: str
    port: int
    _runner: web.AppRunner

    async def stop(self) -> None:
        """Stop listening, end what the application holds."""
        await self._runner.cleanup()


async def start_web(app: web.Application, settings: WebSettings) -> RunningWeb:
    """Listen; without an access log, which is personal. Raises SettingsError for a bad address or certificate."""
    tls = _tls(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port, ssl_context=tls)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise SettingsError(
            f"web.host, web.port: cannot listen on {settings.host}:{settings.port} ({error.strerror}).",
            remedy="Choose a free port.",
        ) from None
    port = int(runner.addresses[0][1])
    scheme = "https" if tls else "http"
    host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else settings.host
    return RunningWeb(f"{scheme}://{host}:{port}/", port, runner)


async def start_web_on(app: web.Application, path: Path) -> RunningWeb:
    """Listen on a unix socket. Raises SettingsError when it cannot be made."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(path)).start()
    except OSError as error:
        await runner.cleanup()
        raise SettingsError(
            f"data_dir: cannot listen on {path} ({error.strerror}).", remedy="Make data_dir writable."
        ) from None
    return RunningWeb(f"unix:{path}", 0, runner)


def _tls(settings: WebSettings) -> ssl.SSLContext | None:
    if settings.cert_file is None and settings.key_file is None:
        return None
    if settings.cert_file is None or settings.key_file is None:
        raise SettingsError("web.cert_file, web.key_file: expected both or none, got one.")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"web.cert_file, web.key_file cannot be used ({type(error).__name__}).",
            remedy="Name PEM files of one pair.",
        ) from None
    return context
