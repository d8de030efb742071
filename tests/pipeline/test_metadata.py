"""The metadata database: its URL, what is said of one that cannot be used, and two runs at once on a real one."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.errors import MetadataError
from pipeline.metadata import PASSWORD_VARIABLE, check, checking, connection, parse_url
from pipeline.synthetic import write_catalogue

PASSWORD = r"p4ss wor\d:/@"
QUOTED = "p4ss%20wor%5Cd%3A%2F%40"

WRITER = """
import sys
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.errors import AlreadyExistsError
from ml_metadata.proto import metadata_store_pb2 as mlmd
from pipeline.metadata import check, connection
url, run, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
check(url)
for number in range(times):
    store = MetadataStore(connection(url))
    of_run = store.put_context_type(mlmd.ContextType(name="run"))
    kind = store.put_execution_type(mlmd.ExecutionType(name="train"))
    model = store.put_artifact_type(mlmd.ArtifactType(name="Model"))
    context = mlmd.Context(type_id=of_run, name=run)
    try:
        [context.id] = store.put_contexts([context])
    except AlreadyExistsError:
        context = store.get_context_by_type_and_name("run", run)
    made = (mlmd.Artifact(type_id=model, uri=f"{run}/{number}"), mlmd.Event(type=mlmd.Event.OUTPUT))
    store.put_execution(mlmd.Execution(type_id=kind), [made], [context])
"""


@dataclass(frozen=True)
class Server:
    """A database server of the test's own, with the empty database `shop` of the user `fashion`."""

    kind: str
    port: int

    def url(self, user: str = "fashion", password: str = QUOTED, database: str = "shop") -> str:
        return f"{self.kind}://{user}:{password}@127.0.0.1:{self.port}/{database}"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def found(*programs: str) -> None:
    """Skips where a program is missing; Debian keeps servers beside the PATH."""
    for program in programs:
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
            pytest.skip(f"{program} is not installed")


@contextmanager
def serving(command: list[str], port: int, **options: object) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
                assert time.monotonic() < deadline, f"{command[0]} does not answer"
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found("mariadbd", "mariadb-install-db")
    folder, port = tmp_path_factory.mktemp("mysql"), free_port()
    folder.chmod(0o755)
    user = "root" if os.geteuid() == 0 else str(os.getuid())
    common = ["--no-defaults", f"--user={user}", f"--datadir={folder / 'data'}"]
    subprocess.run(["mariadb-install-db", *common, "--skip-test-db", "--skip-name-resolve"], check=True,
                   capture_output=True)  # fmt: skip
    start = folder / "start.sql"
    secret = PASSWORD.replace("\\", "\\\\")
    statements = (
        "DELETE FROM mysql.global_priv WHERE User = ''", "FLUSH PRIVILEGES",
        "CREATE DATABASE shop", f"CREATE USER fashion IDENTIFIED BY '{secret}'", "GRANT ALL ON shop.* TO fashion",
        "CREATE DATABASE theirs", f"CREATE USER chief IDENTIFIED BY '{secret}'", "GRANT ALL ON *.* TO chief",
    )  # fmt: skip
    start.write_text("".join(f"{statement};\n" for statement in statements))
    server = [shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin") or "", *common, f"--port={port}",
              f"--socket={folder / 's'}", "--bind-address=127.0.0.1", "--skip-name-resolve", f"--init-file={start}",
              "--innodb-buffer-pool-size=16M"]  # fmt: skip
    with serving(server, port):
        yield Server("mysql", port)


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found("initdb", "postgres")
    folder, port = tmp_path_factory.mktemp("postgresql"), free_port()
    options: dict[str, object] = {}
    if os.geteuid() == 0:  # the server refuses to be root
        for parent in (folder, *folder.parents[:3]):
            parent.chmod(0o755)
        shutil.chown(folder, "nobody")
        options = {"user": "nobody", "env": {**os.environ, "HOME": str(folder)}, "cwd": folder}
    (folder / "password").write_text(PASSWORD)
    data = str(folder / "data")
    subprocess.run(["initdb", "-D", data, "-U", "fashion", "-A", "scram-sha-256", "--no-sync",
                    f"--pwfile={folder / 'password'}"], check=True, capture_output=True, **options)  # fmt: skip
    # A server in single-user mode takes SQL before it has a password to ask for.
    subprocess.run(["postgres", "--single", "-D", data, "postgres"], input="CREATE DATABASE shop;\n", text=True,
                   check=True, capture_output=True, **options)  # fmt: skip
    server = ["postgres", "-D", data, "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
    with serving(server, port, **options):
        yield Server("postgresql", port)


def outdated(version: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        check(f"sqlite:///{path}")
        with closing(sqlite3.connect(path)) as file, file:
            file.execute("UPDATE MLMDEnv SET schema_version = ?", (version,))

    return make


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:////runs/metadata.sqlite", "sqlite:////runs/metadata.sqlite"),
        ("mysql://fashion@db/shop", "mysql://fashion@db:3306/shop"),
        ("mysql://fashion:secret@db:33/shop", "mysql://fashion@db:33/shop"),
        ("postgresql://fashion:secret@db/shop", "postgresql://fashion@db:5432/shop"),
    ],
)
def test_a_url_is_read_and_shown_without_its_password(url: str, said: str) -> None:
    database = parse_url(url)
    assert str(database) == said
    assert "secret" not in repr(database)


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_the_password_comes_from_the_environment_unless_the_url_has_one(monkeypatch, kind: str) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    assert getattr(connection(f"{kind}://fashion@db/shop"), kind).password == "secret"
    assert parse_url(f"{kind}://fashion:{QUOTED}@db/shop").password == PASSWORD


def test_a_missing_database_is_not_made_by_mistake() -> None:
    assert connection("mysql://fashion@db/shop").mysql.skip_db_creation
    assert connection("postgresql://fashion@db/shop").postgresql.skip_db_creation


def test_mysql_over_tls_verifies_the_server(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    options = connection(f"mysql://fashion@db/shop?ca={tmp_path / 'ca.pem'}").mysql.ssl_options
    assert (options.ca, options.verify_server_cert) == (str(tmp_path / "ca.pem"), True)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("metadata.db", "'metadata.db' is not a known kind of database; give sqlite:///file, mysql://"),
        ("oracle://fashion@db/shop", "'oracle' is not a known kind of database"),
        ("sqlite://metadata.db", "a SQLite file is given as sqlite:///here or sqlite:////from/root"),
        ("mysql://db/shop", "it names no user"),
        ("mysql://fashion@/shop", "it names no host"),
        ("mysql://fashion@db", "it names no database"),
        ("mysql://fashion@db:port/shop", "Port could not be cast"),
        ("mysql://fashion@db/shop?cas=ca.pem", "cas: unknown option; did you mean 'ca'? known: ca, cert, key"),
        ("mysql://fashion@db/shop?ca=none.pem", "ca=none.pem: there is no such file"),
        ("postgresql://fashion@db/shop?sslmode=require", "PostgreSQL client is built without TLS"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, said: str) -> None:
    with pytest.raises(MetadataError) as refused:
        parse_url(url)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.parent.rmdir(), "there is no folder "),
        (lambda path: path.mkdir(), "unable to open database file; give this user the right to write its folder"),
        (lambda path: path.write_text("no database" * 99), "file is not a database; move the file away"),
        (outdated(9), "its schema has version 9, and this ml-metadata reads 10; upgrade it with ml_metadata's"),
        (outdated(99), "its schema has version 99, and this ml-metadata reads 10; install the newer ml-metadata"),
    ],
    ids=["no folder", "a folder", "another file", "older schema", "newer schema"],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_remedy(tmp_path: Path, make, said: str) -> None:
    path = tmp_path / "below" / "metadata.sqlite"
    path.parent.mkdir()
    make(path)
    with pytest.raises(MetadataError) as refused:
        check(f"sqlite:///{path}")
    assert str(refused.value).startswith(f"sqlite:///{path}: ")
    assert said in str(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metadata.sqlite"
    check(f"sqlite:///{path}")
    path.chmod(0o444)
    with pytest.raises(MetadataError, match="readonly database; give this user the right to write it"):
        check(f"sqlite:///{path}")


def test_a_file_that_another_program_has_locked_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(checking, "_SECONDS", 0.1)
    path = tmp_path / "metadata.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MetadataError, match="database is locked; another program has locked it; end that"):
            check(f"sqlite:///{path}")


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_a_server_that_is_not_there_is_named_at_once(kind: str) -> None:
    server = Server(kind, free_port())
    began = time.monotonic()
    with pytest.raises(MetadataError) as refused:
        check(server.url())
    assert time.monotonic() - began < 5
    assert str(refused.value).startswith(f"{kind}://fashion@127.0.0.1:{server.port}/shop: ")
    assert "Connection refused" in str(refused.value)
    assert f"check that a {kind} server listens at 127.0.0.1:{server.port}" in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("mysql", {"password": "wrong-one"}, f"check the user, and the password in {PASSWORD_VARIABLE} or the URL"),
        ("mysql", {"user": "nobody"}, f"check the user, and the password in {PASSWORD_VARIABLE} or the URL"),
        ("mysql", {"user": "chief", "database": "absent"}, "create it: CREATE DATABASE absent"),
        ("mysql", {"database": "theirs"}, "grant fashion all rights on theirs"),
        ("postgresql", {"password": "wrong-one"}, f"check the user, and the password in {PASSWORD_VARIABLE}"),
        ("postgresql", {"password": ""}, f"check the user, and the password in {PASSWORD_VARIABLE}"),
        ("postgresql", {"database": "absent"}, 'database "absent" does not exist; create it: CREATE DATABASE absent'),
    ],
)
def test_what_a_server_refuses_is_said_with_the_remedy(request, monkeypatch, kind: str, given, said: str) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    server = request.getfixturevalue(kind)
    with pytest.raises(MetadataError) as refused:
        check(server.url(**given))
    text = str(refused.value)
    assert text.startswith(f"{kind}://{given.get('user', 'fashion')}@127.0.0.1:{server.port}/")
    assert said in text
    assert "\n" not in text
    assert not any(password in text for password in ("wrong-one", PASSWORD, QUOTED))


@pytest.mark.parametrize(
    "kind",
    ["sqlite", pytest.param("mysql", marks=pytest.mark.slow), pytest.param("postgresql", marks=pytest.mark.slow)],
)
def test_runs_that_write_at_once_lose_nothing(request, tmp_path: Path, kind: str) -> None:
    from ml_metadata.metadata_store.metadata_store import MetadataStore

    url = f"sqlite:///{tmp_path / 'metadata.sqlite'}" if kind == "sqlite" else request.getfixturevalue(kind).url()
    runs, times = ("monday", "tuesday", "wednesday"), 20
    house = str(Path(checking.__file__).parents[2])
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, run, str(times)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": house},
        )
        for run in runs
    ]
    for writer in writers:
        _, err = writer.communicate(timeout=120)
        assert writer.returncode == 0, err
    store = MetadataStore(connection(url))
    assert len(store.get_contexts()) == len(runs)
    for context in store.get_contexts():
        executions = store.get_executions_by_context(context.id)
        made = store.get_artifacts_by_id(
            [event.artifact_id for event in store.get_events_by_execution_ids([each.id for each in executions])]
        )
        assert sorted(each.uri for each in made) == sorted(f"{context.name}/{number}" for number in range(times))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_a_node_runs_on_a_server_and_leaves_its_password_nowhere(request, tmp_path: Path, kind: str) -> None:
    server = request.getfixturevalue(kind)
    write_catalogue(tmp_path / "shop", 5, seed=1)
    house = str(Path(checking.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": house, PASSWORD_VARIABLE: PASSWORD, "FASHION_METADATA":
                   f"{kind}://fashion@127.0.0.1:{server.port}/shop"}  # fmt: skip
    command = [sys.executable, "-c", "from pipeline.commands.kubeflow import node; node()", "--node", "schema",
               "--run-id", "monday", "--recipe", "six_class", "--data", "shop", "--root", "runs"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert {"schema.log", "schema.pbtxt"} <= {path.name for path in files}
    assert not (tmp_path / "runs" / "metadata.sqlite").exists()
    assert not any(PASSWORD.encode() in path.read_bytes() for path in files)
    assert PASSWORD not in done.stdout
