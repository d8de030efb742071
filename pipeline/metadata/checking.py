"""What is wrong with a metadata database, found before a run starts and said so that it can be fixed.

ML Metadata itself hardly says: of MySQL that `mysql_real_connect failed`, of PostgreSQL on the standard error only.
"""

import re
import socket
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import MetadataError
from pipeline.metadata.url import PASSWORD_VARIABLE, Database, connection, parse_url
from pipeline.view import quiet

if TYPE_CHECKING:
    from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig

_SECONDS = 10
_ATTEMPTS = 5


def check(url: str) -> None:
    """Opens the database as a run will, and makes ML Metadata's tables if it has none.

    Raises:
        MetadataError: naming the database, what is wrong with it, and the remedy.
    """
    database = parse_url(url)
    {"sqlite": _check_file, "mysql": _check_mysql, "postgresql": _check_host}[database.kind](database)
    _open(database, connection(url))


def _check_file(database: Database) -> None:
    path = Path(database.name)
    if not path.parent.is_dir():
        raise MetadataError(f"{database}: there is no folder {path.parent}; make it, or give another path")
    try:
        with closing(sqlite3.connect(path, timeout=_SECONDS)) as file:
            file.execute("BEGIN IMMEDIATE")
            file.execute("PRAGMA user_version = 0")  # SQLite locks a file that it may only read without a complaint
            file.rollback()
    except sqlite3.Error as error:
        remedy = {
            "SQLITE_READONLY": "give this user the right to write it and its folder",
            "SQLITE_CANTOPEN": "give this user the right to write its folder",
            "SQLITE_NOTADB": "move the file away, or give another path",
            "SQLITE_BUSY": "another program has locked it; end that",
        }
        name = next((name for name in remedy if error.sqlite_errorname.startswith(name)), "")
        raise MetadataError(f"{database}: {error}; {remedy.get(name, 'give another path')}") from error


def _check_mysql(database: Database) -> None:
    import pymysql  # type: ignore[import-untyped]

    tls = {f"ssl_{option}": file for option, file in database.tls.items()}
    try:
        pymysql.connect(
            host=database.host, port=database.port, user=database.user, password=database.password,
            database=database.name, connect_timeout=_SECONDS, read_timeout=_SECONDS, ssl_verify_cert=bool(tls) or None,
            ssl_verify_identity=bool(tls) or None, **tls,
        ).close()  # fmt: skip
    except (pymysql.err.MySQLError, OSError, RuntimeError) as error:
        code, said = error.args if len(error.args) == 2 else (0, str(error))
        raise _server_error(database, str(said), {1045: "password", 1044: "right", 1049: "absent"}.get(code)) from error


def _check_host(database: Database) -> None:
    # libpq would wait for minutes for a host that does not answer.
    try:
        socket.create_connection((database.host, database.port), timeout=_SECONDS).close()
    except OSError as error:
        raise _server_error(database, error.strerror or str(error)) from error


def _server_error(database: Database, said: str, kind: str | None = None) -> MetadataError:
    """What a server said, on one line, with the remedy."""
    remedy = {
        "password": f"check the user, and the password in {PASSWORD_VARIABLE} or the URL",
        "right": f"grant {database.user} all rights on {database.name}",
        "absent": f"create it: CREATE DATABASE {database.name}",
        None: f"check that a {database.kind} server listens at {database.host}:{database.port}, and for this machine",
    }
    return MetadataError(f"{database}: {_one_line(said, database.password)}; {remedy[kind]}")


def _open(database: Database, config: "ConnectionConfig") -> None:
    from ml_metadata.errors import StatusError
    from ml_metadata.metadata_store import metadata_store

    for attempt in range(1, _ATTEMPTS + 1):
        # In what C++ writes to the standard error alone does ML Metadata give PostgreSQL's reasons.
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            with quiet(log):
                try:
                    metadata_store.MetadataStore(config).get_context_types()
                except (RuntimeError, StatusError) as error:
                    said = str(error)
                else:
                    return
            native = log.read_text(encoding="utf-8", errors="replace")
        refused = _refusal(database, said, native)
        if refused:
            raise refused
        if attempt < _ATTEMPTS:  # two runs that start at once on an empty database get into each other's way
            time.sleep(attempt)
    raise MetadataError(f"{database}: {_one_line(f'{said} {native}', database.password)}; fix that and try again")


def _refusal(database: Database, said: str, native: str) -> MetadataError | None:
    """The error where trying again is of no use."""
    if versions := re.search(r"version (\d+) is (older|greater) than library version (\d+)", said):
        theirs, how, ours = versions.groups()
        remedy = (
            "upgrade it with ml_metadata's MetadataStore(..., enable_upgrade_migration=True) after a backup"
            if how == "older" else "install the newer ml-metadata that wrote it"
        )  # fmt: skip
        return MetadataError(
            f"{database}: its schema has version {theirs}, and this ml-metadata reads {ours}; {remedy}"
        )
    for pattern, kind in (
        ("password authentication failed|no password supplied|no pg_hba.conf entry", "password"),
        (r'database "[^"]*" does not exist|Unknown database', "absent"),
        ("permission denied|denied for user", "right"),
    ):
        if line := re.search(rf"[^\n]*(?:{pattern})[^\n]*", f"{native}\n{said}"):
            return _server_error(database, re.sub(r".*(?:PostgreSQL error|FATAL): ", "", line[0]), kind)
    return None


def _one_line(text: str, password: str) -> str:
    line = " ".join(text.split()).rstrip(".;")
    return line.replace(password, "…") if password else line
