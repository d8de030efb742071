"""TLS of the server, by the file that TensorFlow Serving takes with --ssl_config_file."""

import os
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import grpc

from serving.server.config import parse_text
from serving.server.errors import ServingError, invalid
from serving.server.protos import SSLConfig

_PEM = "-----BEGIN "


@dataclass(frozen=True)
class Tls:
    """A server's key and certificate, and whether it wants to know its clients; all in PEM."""

    key: str = field(repr=False)  # private, without a password
    certificate: str  # the server's own, followed by those between it and its authority
    authority: str = ""  # that clients' certificates are held against; "" if `verify` is off
    verify: bool = False  # whether clients without a certificate of the authority are turned away

    @property
    def credentials(self) -> grpc.ServerCredentials:
        """What a gRPC port is opened with."""
        pair = self.key.encode(), self.certificate.encode()
        return grpc.ssl_server_credentials([pair], self.authority.encode() or None, self.verify)

    @cached_property
    def context(self) -> ssl.SSLContext:
        """What an HTTPS port is opened with.

        Raises:
            ssl.SSLError: the key is not the certificate's, or one of them is none.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Python reads keys from files only. This one is in memory, so that the key is written nowhere.
        number = os.memfd_create("tls")
        with open(number, "w+") as file:
            file.write(f"{self.key}\n{self.certificate}\n")
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{number}", password="")
        if self.verify:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.authority)
        return context


def read_ssl_config(path: Path) -> Tls:
    """Reads TensorFlow Serving's --ssl_config_file: an SSLConfig in text format, which holds the PEM texts themselves.

    Raises:
        ServingError: there is no such file, it does not parse, or what it holds is of no use.
    """
    config = parse_text(path, SSLConfig())
    names = ["server_key", "server_cert", *(["custom_ca"] if config.client_verify or config.custom_ca else [])]
    for name in names:
        if _PEM not in getattr(config, name):
            raise invalid(f'{path}: {name} has to be the PEM text itself ("{_PEM}…"), not the path of a file')
    tls = Tls(config.server_key, config.server_cert, config.custom_ca, config.client_verify)
    try:
        tls.context  # noqa: B018 - to learn of a wrong key now, and in words: gRPC would only not answer
    except ssl.SSLError as error:
        raise _unusable(path, error) from error
    return tls


def _unusable(path: Path, error: ssl.SSLError) -> ServingError:
    if error.reason == "KEY_VALUES_MISMATCH":
        return invalid(f"{path}: server_key is not the key of server_cert. Give the two that belong together")
    return invalid(f"{path}: server_key, server_cert or custom_ca cannot be read ({error.reason or error}): give PEM "
                   "texts, and a key without a password")  # fmt: skip
