"""`fashion serve`: the local model server, for machines where TensorFlow Serving's container does not run."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components.errors import FashionError
from pipeline.commands import PATH, Command
from pipeline.commands.answer_log import logs_answers

if TYPE_CHECKING:
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    from serving.server.app import Listening
    from serving.server.config import Batching

MEGABYTE = 2**20

EXIT_CODES = """
\b
Exit codes: 0 stopped by SIGTERM or Ctrl-C, running requests answered or,
after --grace, refused · 1 cannot serve: a port is taken, a model
configuration is wrong · 2 wrong option
"""


class ServeError(FashionError):
    """The server cannot start with what it was given."""

    exit_code = 1


@click.command(cls=Command, epilog=EXIT_CODES)
@click.option(
    "--model-base", type=PATH, help="A folder of models, or of one model's versions.  [default: runs/serving]"
)
@click.option("--model-config", type=PATH, help="TensorFlow Serving's --model_config_file, followed.")
@click.option("--model-name", help="Name of the one model in --model-path.")
@click.option("--model-path", type=PATH, help="Folder with the versions of one model.")
@click.option("--host", default="127.0.0.1", help="0.0.0.0 lets other machines ask.")
@click.option("--rest-port", type=click.IntRange(0, 65535), default=8501, help="0: a free one.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), default=8500, help="0: a free one.")
@click.option("--batching/--no-batching", default=True, help="Run concurrent requests together.")
@click.option(
    "--batching-parameters",
    type=PATH,
    help="TensorFlow Serving's --batching_parameters_file, in place of what --batching does unasked.",
)
@click.option(
    "--poll-seconds",
    type=click.FloatRange(min=0.05),
    default=1.0,
    help="Time between two looks for new versions and another model config.",
)
@click.option(
    "--threads", type=click.IntRange(min=0), default=0, help="Runs at once with --no-batching; 0: one a core."
)
@click.option("--max-request-mb", type=click.FloatRange(min=0.001), default=64)
@click.option("--max-picture-mb", type=click.FloatRange(min=0.001), default=16)
@click.option("--max-rows", type=click.IntRange(min=1), default=1024, help="Rows of one request.")
@click.option("--max-waiting", type=click.IntRange(min=1), default=1000, help="Requests; more get status 429.")
@click.option("--max-waiting-mb", type=click.FloatRange(min=0.001), default=256, help="Of requests.")
@click.option("--max-connections", type=click.IntRange(min=1), default=1000, help="To each of the two ports.")
@click.option(
    "--ssl-config-file",
    type=PATH,
    help="TensorFlow Serving's file of the same name: key, certificate, clients' authority. For both ports.",
)
@click.option("--cors", is_flag=True, help="Let web pages of other servers ask: TensorFlow Serving's CORS headers.")
@click.option("--ui/--no-ui", default=True, help="A page at / to try models in a browser.")
@click.option("--rest-timeout", type=click.FloatRange(min=0.001), default=30, help="Seconds until status 504.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30,
    help="Seconds that running requests have to end in when the server is stopped; the rest get UNAVAILABLE.",
)
@logs_answers
@click.option("--access-log", is_flag=True, help="Write a line of JSON to stderr for each request.")
@click.option("--verbose", is_flag=True, help="Log every request that is refused.")
def serve(
    model_base: Path | None, model_config: Path | None, model_name: str | None, model_path: Path | None, host: str,
    rest_port: int, grpc_port: int, batching: bool, batching_parameters: Path | None, poll_seconds: float, threads: int,
    max_request_mb: float, max_picture_mb: float, max_rows: int, max_waiting: int, max_waiting_mb: float,
    max_connections: int, ssl_config_file: Path | None, cors: bool, ui: bool, rest_timeout: float, grace: float,
    access_log: bool, verbose: bool, log_answers: dict[str, Any] | None,
) -> None:  # fmt: skip
    """Serve models over REST and gRPC, as TensorFlow Serving does.

    Takes up new versions as they are published, and keeps the old one until the new one is ready. Ports, URLs,
    messages and configuration files are TensorFlow Serving's, so clients need not know which of the two they ask.

    \b
      fashion serve                                     all below runs/serving
      fashion serve --model-base runs/serving/six_class    one of them
      fashion serve --model-config models.config --cors
      fashion serve --host 0.0.0.0 --rest-port 80 --max-request-mb 8
      fashion serve --host 0.0.0.0 --ssl-config-file ssl.config
      fashion serve --log-answers answers --sample 0.1     for fashion monitor
    """
    _check_sources(model_base, model_config, model_name, model_path)
    from pipeline.view import quiet
    from serving.lean import without_keras
    from serving.server.repeats import Repeats

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Repeats())
    logging.getLogger("serving").setLevel(logging.DEBUG if verbose else logging.INFO)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what concerns a model or a request, the server says itself
    if log_answers:
        from fashion_client.answer_log import AnswerLog
    with without_keras(), quiet(Path(os.devnull)):  # at its import TensorFlow heeds no level
        from serving.server.app import CannotListen, Network, run_server
        from serving.server.config import Options
        from serving.server.errors import ServingError
        from serving.server.limits import Limits
        from serving.server.tls import read_ssl_config

    try:
        run_server(
            _models(model_base, model_config, model_name, model_path),
            Options(poll_seconds, threads, batching=_batching(batching, batching_parameters, max_rows),
                    config_file=model_config),
            network=Network(host, rest_port, grpc_port, rest_timeout, grace, max_connections, cors,
                            read_ssl_config(ssl_config_file) if ssl_config_file else None,
                            sys.stderr if access_log else None, ui),
            limits=Limits(int(max_request_mb * MEGABYTE), max_rows, int(max_picture_mb * MEGABYTE), waiting=max_waiting,
                          waiting_bytes=int(max(max_waiting_mb, max_request_mb) * MEGABYTE)),
            ready=lambda listening: _announce(listening, ui),
            log=AnswerLog(**log_answers) if log_answers else None,
        )  # fmt: skip
    except (CannotListen, ServingError) as error:
        raise ServeError(str(error)) from error


def _check_sources(base: Path | None, config: Path | None, name: str | None, path: Path | None) -> None:
    if (name is None) != (path is None):
        raise click.UsageError("--model-name and --model-path go together: the name clients ask for, and its folder")
    if sum(source is not None for source in (base, config, path)) > 1:
        raise click.UsageError("--model-base, --model-config and --model-path exclude each other: give one")


def _models(base: Path | None, config: Path | None, name: str | None, path: Path | None) -> "ModelServerConfig":
    from serving.server.config import model_base, read_model_config, single_model

    if config:
        return read_model_config(config)
    if name and path:
        return single_model(name, path)
    return model_base(base or Path("runs/serving"))


def _batching(wanted: bool, parameters: Path | None, rows: int) -> "Batching | None":
    from serving.server.config import Batching, read_batching

    if parameters:
        return read_batching(parameters)
    return Batching.for_requests(rows) if wanted else None


def _announce(listening: "Listening", ui: bool) -> None:
    """Says where the server is, what it serves, and how to try it."""
    click.echo(f"REST  {listening.rest}\ngRPC  {listening.grpc}")
    for name, versions in listening.models.items():
        found = ", ".join(map(str, versions))
        click.echo(f"  {name}  " + (f"version {found}" if found else "no version is available yet"))
    first = next(iter(listening.models), None)
    if first:
        click.echo(
            f"""
Try it{f" at {listening.rest}/ in a browser, or" if ui else ""}:
  echo '{{"instances": [{{"b64": "'$(base64 -w0 PICTURE.jpg)'"}}]}}' |
    curl -s --data-binary @- {listening.rest}/v1/models/{first}:predict"""
        )
