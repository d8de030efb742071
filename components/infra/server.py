"""The local model server with one model, for as long as the process that started it lives.

`python -m components.infra.server BASE MODEL` writes the address of its gRPC API as one line to stdout once the model
is loaded, or cannot be, and ends when its stdin does.
"""

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from serving.lean import without_keras

if TYPE_CHECKING:
    from serving.server.app import Listening


def main(base: str, model: str) -> None:
    """Serves the newest version of a model; `base` is the folder of its versions."""
    # From the start on: the import takes seconds, and who has started this may be killed meanwhile.
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    with without_keras():
        from serving.server.app import Network, run_server
        from serving.server.config import Options, single_model
        from serving.server.limits import Limits

    run_server(
        single_model(model, Path(base)), Options(poll_seconds=0), network=Network(rest_port=0, grpc_port=0),
        limits=Limits(), ready=_announce,
    )  # fmt: skip


def _end_with_stdin() -> None:
    # Not through sys.stdin, whose lock a thread that waits would hold when the interpreter ends.
    while os.read(0, 1):
        pass
    os._exit(0)


def _announce(listening: "Listening") -> None:
    sys.stdout.write(f"{listening.grpc}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
