"""The database that remembers runs and artifacts: from its URL to ML Metadata's connection.

A password travels in the URL or, out of everybody's sight, in the environment. It is never printed.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from components.errors import MetadataError
from components.reading import choices

if TYPE_CHECKING:
    from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig

PASSWORD_VARIABLE = "FASHION_METADATA_PASSWORD"

_PORTS = {"mysql": 3306, "postgresql": 5432}
_TLS = ("ca", "cert", "key")
_FORMS = "sqlite:///file, mysql://user@host:3306/database or postgresql://user@host:5432/database"


@dataclass(frozen=True)
class Database:
    """A metadata database."""

    kind: str  # "sqlite", "mysql" or "postgresql"
    name: str  # the database on its server; for SQLite the path of its file
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)  # kept out of every text about the database
    # Files by the names of the URL's options: ca, cert, key. Empty for a connection in the clear.
    tls: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The URL without password and options."""
        if self.kind == "sqlite":
            return f"sqlite:///{self.name}"
        return f"{self.kind}://{self.user}@{self.host}:{self.port}/{self.name}"


def parse_url(url: str) -> Database:
    """Reads a database's URL; a server's password comes from the environment where the URL has none.

    Args:
        url: `sqlite:///path`, or `mysql://` or `postgresql://user[:password]@host[:port]/database`. MySQL takes
            options for TLS: `?ca=FILE&cert=FILE&key=FILE`.

    Raises:
        MetadataError: it is not such a URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise MetadataError(f"metadata URL: {error}; give {_FORMS}") from None
    if parts.scheme == "sqlite":
        path = parts.path.removeprefix("/")
        if parts.netloc or not path:
            raise MetadataError(f"metadata URL {url}: a SQLite file is given as sqlite:///here or sqlite:////from/root")
        return Database("sqlite", os.path.abspath(unquote(path)))
    if parts.scheme not in _PORTS:
        raise MetadataError(f"metadata URL: {parts.scheme or url!r} is not a known kind of database; give {_FORMS}")
    name = unquote(parts.path.strip("/"))
    for what, given in (("user", parts.username), ("host", parts.hostname), ("database", name)):
        if not given:
            raise MetadataError(f"metadata URL: it names no {what}; give {_FORMS}")
    return Database(
        kind=parts.scheme, name=name, host=parts.hostname or "", port=port or _PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or "") or os.environ.get(PASSWORD_VARIABLE, ""),
        tls=_tls_options(parts.scheme, parts.query),
    )  # fmt: skip


def _tls_options(kind: str, query: str) -> Mapping[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if options and kind == "postgresql":
        raise MetadataError(
            "metadata URL: ML Metadata's PostgreSQL client is built without TLS and takes no options; "
            "use MySQL with ?ca=FILE, or a proxy that encrypts"
        )
    for option, file in options.items():
        if option not in _TLS:
            raise MetadataError(f"metadata URL: {option}: unknown option; {choices(option, _TLS)}")
        if not Path(file).is_file():
            raise MetadataError(f"metadata URL: {option}={file}: there is no such file; give a PEM file")
    return options


def connection(url: str) -> "ConnectionConfig":
    """What ML Metadata needs to open a database. It holds the password: neither print nor keep it.

    Raises:
        MetadataError: see `parse_url`.
    """
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    database = parse_url(url)
    config = mlmd.ConnectionConfig()
    if database.kind == "sqlite":
        config.sqlite.filename_uri = database.name
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return config
    server = getattr(config, database.kind)
    # Otherwise a mistyped name makes a new database, and the runs before are forgotten.
    server.skip_db_creation = True
    if database.kind == "mysql":
        server.host, server.user, server.password = database.host, database.user, database.password
        server.port, server.database = database.port, database.name
        for option, file in database.tls.items():
            setattr(server.ssl_options, option, file)
        if database.tls:
            server.ssl_options.verify_server_cert = True
    else:
        server.host, server.port = database.host, str(database.port)
        server.user, server.password, server.dbname = map(
            _libpq_value, (database.user, database.password, database.name)
        )
    return config


def _libpq_value(text: str) -> str:
    """ML Metadata joins these into libpq's connection string as they stand: there, what is not plain is quoted."""
    plain = re.fullmatch(r"[\w.-]*", text, re.ASCII)
    return text if plain else "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"
