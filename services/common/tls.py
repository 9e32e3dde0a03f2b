"""mTLS from PEM files that are read again when they change, so that certificates rotate without a restart."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc

from services.common.clock import Clock
from services.common.errors import SettingsError
from services.common.settings import TlsSettings


class TlsFiles:
    """The three PEM files; knows when one of them changed."""

    def __init__(self, settings: TlsSettings, clock: Clock) -> None:
        """Raises SettingsError when only some of the files are named or one cannot be read."""
        paths = {"ca_file": settings.ca_file, "cert_file": settings.cert_file, "key_file": settings.key_file}
        missing = [name for name, path in paths.items() if path is None]
        if missing:
            raise SettingsError(
                f"rpc.tls: expected ca_file, cert_file and key_file together, missing {', '.join(missing)}.",
                remedy="Name all three PEM files for mTLS, or none for plaintext on one machine.",
            )
        self._paths: list[Path] = [path for path in paths.values() if path is not None]
        self._reload_ns = int(settings.reload_s * 1e9)
        self._clock = clock
        self._stamp = self._read_stamp()
        self._checked_ns = clock.now_ns()

    def changed(self) -> bool:
        """True once after any file changed; looks at the disk at most every `reload_s`."""
        now = self._clock.now_ns()
        if now - self._checked_ns < self._reload_ns:
            return False
        self._checked_ns = now
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        return True

    def read(self) -> tuple[bytes, bytes, bytes]:
        """(ca, certificate, key), PEM."""
        try:
            ca, cert, key = (path.read_bytes() for path in self._paths)
        except OSError as error:
            raise SettingsError(f"rpc.tls: cannot read {error.filename}: {error.strerror}.") from error
        return ca, cert, key

    def _read_stamp(self) -> tuple[tuple[int, int], ...]:
        try:
            return tuple((s.st_mtime_ns, s.st_ino) for s in (path.stat() for path in self._paths))
        except OSError as error:
            raise SettingsError(f"rpc.tls: cannot read {error.filename}: {error.strerror}.") from error


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials that require a client certificate and pick up rotated files on the next handshake."""

    def configuration() -> grpc.ServerCertificateConfiguration:
        ca, cert, key = files.read()
        return grpc.ssl_server_certificate_configuration([(key, cert)], root_certificates=ca)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        try:
            return configuration() if files.changed() else None
        except SettingsError:
            # Half-rotated files: keep the old ones; the next handshake looks again.
            return None

    # gRPC documents None as "nothing changed"; its stubs do not say so.
    fetcher = cast("Callable[[], grpc.ServerCertificateConfiguration]", fetch)
    return grpc.dynamic_ssl_server_credentials(configuration(), fetcher, require_client_authentication=True)


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Credentials for one channel, from the files as they are now."""
    ca, cert, key = files.read()
    return grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)
