"""Where the server is that the contract is tested on: one that is named, or one that is started."""

import asyncio
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import HOUSE

if TYPE_CHECKING:
    from serving.server.app import Listening
    from serving.server.config import Options
    from serving.server.limits import Limits

START_SECONDS = 90


@dataclass(frozen=True)
class Endpoint:
    """A server and one of its models.

    Attributes:
        rest: URL of the HTTP API, without a path.
        grpc: address of the gRPC API, host:port.
        model: name of a model that keeps the serving contract.
        label: a version label that the server is configured with; "" if there is none.
    """

    rest: str
    grpc: str
    model: str
    label: str = ""

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Reads `rest=URL,grpc=HOST:PORT,model=NAME[,label=LABEL]`."""
        form = "FASHION_ENDPOINT has to be rest=URL,grpc=HOST:PORT,model=NAME[,label=LABEL]"
        fields = dict(part.partition("=")[::2] for part in text.split(","))
        if not {"rest", "grpc", "model"} <= set(fields) <= {"rest", "grpc", "model", "label"}:
            raise ValueError(f"{form}; it is {text!r}")
        return cls(**fields)


class ServerProcess:
    """`fashion serve` in a process of its own, on free ports unless they are given."""

    def __init__(self, *arguments: str | Path, ports: Sequence[int] = (0, 0), files: int | None = None) -> None:
        """Starts it and waits until its models are loaded; `files` limits how many it may have open."""
        command = [sys.executable, "-m", "pipeline.cli", "serve", *map(str, arguments)]
        command += ["--rest-port", str(ports[0]), "--grpc-port", str(ports[1])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HOUSE), str(HOUSE / "serving")))}
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long-lived as the process
        if files:
            command = ["bash", "-c", f'ulimit -n {files} && exec "$@"', "bash", *command]
        self._process = subprocess.Popen(
            command, env=environment, cwd=HOUSE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.rest, self.grpc = self._addresses()

    def _addresses(self) -> tuple[str, str]:
        assert self._process.stdout
        head = "".join(self._process.stdout.readline() for _ in range(2))
        found = re.fullmatch(r"REST +(\S+)\ngRPC +(\S+)\n", head)
        if not found:
            self.end(signal.SIGKILL)
            raise AssertionError(f"the server did not start: {head}{self.log()}")
        return found[1], found[2]

    @property
    def ports(self) -> tuple[int, int]:
        return int(self.rest.rpartition(":")[2]), int(self.grpc.rpartition(":")[2])

    def memory(self, what: str = "VmRSS") -> int:
        """Bytes that it holds in memory; for "VmHWM" the most since `forget_peak`."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(what)).split()[1]) * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def libraries(self) -> str:
        """What it has loaded, as the system lists it."""
        return Path(f"/proc/{self._process.pid}/maps").read_text()

    def log(self) -> str:
        """What it wrote to stderr so far."""
        self._log.seek(0)
        return self._log.read()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Exit code, once it has ended."""
        return self._process.wait(START_SECONDS)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.send(number)
        return self.wait()


@contextmanager
def running(base: Path, limits: "Limits", options: "Options", **network: Any) -> Iterator[Endpoint]:
    """The local server in this process, in a thread of its own, on free ports.

    Args:
        base: folder of models.
        limits: its limits.
        options: how it loads and runs models.
        **network: further fields of its `Network`.

    Yields:
        Where it is, with the first of its models.
    """
    from serving.server.app import Network, serve
    from serving.server.config import model_base

    began: queue.Queue[Any] = queue.Queue()

    async def main() -> None:
        closing, loop = asyncio.Event(), asyncio.get_running_loop()
        where = Network(rest_port=0, grpc_port=0, **network)

        def ready(listening: "Listening") -> None:
            began.put((listening, lambda: loop.call_soon_threadsafe(closing.set)))

        config = model_base(base)
        await serve(config, options, network=where, limits=limits, ready=ready, closing=closing)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    listening, stop = began.get(timeout=START_SECONDS)
    try:
        yield Endpoint(listening.rest, listening.grpc, next(iter(listening.models)))
    finally:
        stop()
        thread.join(START_SECONDS)
        assert not thread.is_alive()
