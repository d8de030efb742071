"""What the local model server costs beside calling the SavedModel in one's own process.

    python -m benchmarks.serving --model runs/serving/six_class/<version> [--seconds 5] [--rounds 3]
                                 [--pictures "1.5 kB" "60 kB" "400 kB"] [--log-answers]

Bare calls and served requests take turns on the same machine, so that what else it does hits both. Requests carry
one picture each, or four; the client runs on the same cores as the server. Pictures are JPEGs of 60 x 80 pixels and
1.5 kB where the table does not say otherwise; those of 60 kB and 400 kB are asked about by one client alone. Ratios of
latency are to a bare call with one picture of that kind, ratios of throughput to bare calls with 32. CPU time is that
of client and server together.
"""

import base64
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import urllib3
import yaml
from PIL import Image

from benchmarks.measure import HOUSE, parser_of, ratio, show, take_turns

# Kind to width and height, pixels, and a JPEG's quality: a thumbnail, a picture on a page, a photograph as uploaded.
KINDS = {"1.5 kB": (60, 80, 75), "60 kB": (600, 800, 81), "400 kB": (1500, 2000, 84)}
SMALL, *LARGE = KINDS
PICTURES = 64
BATCH = 32
GRAIN = 4.0  # standard deviation, of 255
CLIENTS, FEW = 8, 4  # which together fill a batch

Call = Callable[[int], None]  # asks about the picture of that number


@cache
def drawn(number: int, kind: str = SMALL) -> bytes:
    """A JPEG of one of `KINDS`: patches of colour, with a fine grain that gives it its bytes."""
    random = np.random.default_rng(number)
    width, height, quality = KINDS[kind]
    patches = Image.fromarray(random.integers(0, 256, (8, 6, 3)).astype(np.uint8)).resize((width, height))
    grain = random.normal(0, 0 if kind == SMALL else GRAIN, (height, width, 1))
    picture = Image.fromarray(np.clip(np.asarray(patches) + grain, 0, 255).astype(np.uint8))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


class Server(NamedTuple):
    """A server under test: its REST URL, its gRPC address and its process."""

    rest: str
    grpc: str
    process: int


@contextmanager
def server(model: Path, *options: str) -> Iterator[Server]:
    """Starts `fashion serve` on one version."""
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "serve",
        "--model-name",
        "model",
        "--model-path",
        str(model.parent),
    ]
    command += ["--rest-port", "0", "--grpc-port", "0", "--poll-seconds", "60", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HOUSE)
    try:
        assert process.stdout
        found = [re.search(r"\S+\n$", process.stdout.readline()) for _ in range(2)]
        rest, calls = (match[0].strip() for match in found if match)
        yield Server(rest, calls, process.pid)
    finally:
        process.terminate()
        process.wait(60)


def network_of(model: Path) -> str:
    """The recipe, network and input of a published version; its folder's name where it does not say."""
    file = model / "assets.extra" / "recipe.yaml"
    if not file.exists():
        return model.name
    recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
    return f"{recipe['name']}, {recipe['model']['backbone']} at {recipe['picture']['size']} px"


def batches(rows: int, kind: str) -> list[list[bytes]]:
    """The pictures of each request in turn, that many in each."""
    pictures = [drawn(number, kind) for number in range(PICTURES)]
    return [pictures[first : first + rows] for first in range(0, PICTURES, rows)]


def over_rest(url: str, rows: int, kind: str = SMALL) -> Call:
    """Asks a server for that many pictures at a time, over REST."""
    pool = urllib3.PoolManager(maxsize=CLIENTS)
    bodies = [
        json.dumps({"instances": [{"b64": base64.b64encode(picture).decode()} for picture in batch]}).encode()
        for batch in batches(rows, kind)
    ]

    def call(number: int) -> None:
        response = pool.request("POST", f"{url}/v1/models/model:predict", body=bodies[number % len(bodies)])
        assert response.status == 200, response.data
        assert [each["error"] for each in json.loads(response.data)["predictions"]] == [""] * rows

    return call


def over_grpc(address: str, rows: int, kind: str = SMALL) -> Call:
    """Asks a server for that many pictures at a time, over gRPC."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(address))
    requests = []
    for batch in batches(rows, kind):
        request = predict_pb2.PredictRequest(inputs={"image_bytes": tf.make_tensor_proto(batch)})
        request.model_spec.name = "model"
        requests.append(request)

    def call(number: int) -> None:
        response = stub.Predict(requests[number % len(requests)], 60)
        assert list(response.outputs["error"].string_val) == [b""] * rows

    return call


def bare(model: Path, rows: int, kind: str = SMALL) -> Call:
    """Calls the SavedModel in this process, with that many pictures at a time."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))
    predict = loaded.signatures["serving_default"]
    fed = [tf.constant(batch) for batch in batches(rows, kind)]

    def call(number: int) -> None:
        answer = predict(image_bytes=fed[number % len(fed)])
        assert len({name: value.numpy() for name, value in answer.items()}["error"]) == rows

    call.loaded = loaded  # type: ignore[attr-defined] # a signature does not keep its model's variables
    return call


class Case(NamedTuple):
    """A call, how many callers there are at once, pictures in a call, and the server's process if there is one."""

    call: Call
    clients: int
    pictures: int
    process: int | None = None


class Taken(NamedTuple):
    """Latency of each call, pictures a second, and CPU seconds for a picture."""

    latencies: list[float]
    rate: float
    cpu: float


_PICKS: tuple[Callable[[Taken], float], ...] = (
    lambda taken: 1000 * float(np.median(taken.latencies)), lambda taken: taken.rate, lambda taken: taken.cpu,
)  # fmt: skip


def cpu_seconds(process: int | None = None) -> float:
    """What this process, or another, has had of the processors so far."""
    if process is None:
        return time.process_time()
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(case: Case, seconds: float) -> Taken:
    """Calls for so many seconds."""
    processes = (None, *filter(None, [case.process]))
    spent = -sum(map(cpu_seconds, processes))
    until, latencies = time.perf_counter() + seconds, []
    numbers, lock = itertools.count(), threading.Lock()

    def client() -> None:
        while True:
            began = time.perf_counter()
            if began >= until:
                return
            with lock:
                number = next(numbers)
            case.call(number)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    with ThreadPoolExecutor(case.clients) as pool:
        for future in [pool.submit(client) for _ in range(case.clients)]:
            future.result()
    pictures, wall = len(latencies) * case.pictures, time.perf_counter() - began
    return Taken(latencies, pictures / wall, (spent + sum(map(cpu_seconds, processes))) / pictures)


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--model", type=Path, required=True, help="a version's folder")
    parser.add_argument(
        "--batching-parameters", type=Path, help="as `fashion serve` takes it, for the server that batches"
    )
    parser.add_argument("--pictures", nargs="*", choices=LARGE, default=LARGE, help="also asked about [default: all]")
    parser.add_argument("--log-answers", action="store_true", help="what logging a tenth, and all, costs beside none")
    parser.add_argument("--seconds", type=float, help="of each measurement [default: 5, quick: 1]")
    options = parser.parse_args()
    rounds, seconds = options.rounds or (1 if options.quick else 3), options.seconds or (1 if options.quick else 5)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if options.log_answers:
        logging_costs(options.model, rounds, seconds)
        return
    with ExitStack() as stack:
        plain = stack.enter_context(server(options.model, "--no-batching"))
        told = [f"--batching-parameters={options.batching_parameters}"] if options.batching_parameters else []
        batched = stack.enter_context(server(options.model, *told))
        one, some, many = (bare(options.model, rows) for rows in (1, CLIENTS, BATCH))
        cases = {
            "SavedModel, 1 picture": Case(one, 1, 1),
            f"SavedModel, {CLIENTS} pictures": Case(some, 1, CLIENTS),
            f"SavedModel, {BATCH} pictures": Case(many, 1, BATCH),
        }
        for clients, rows, batching in (
            (1, 1, plain), (1, 1, batched), (CLIENTS, 1, plain), (CLIENTS, 1, batched), (CLIENTS, FEW, batched),
        ):  # fmt: skip
            name = f"{clients} client{'s' if clients > 1 else ''}{f' of {rows} pictures' if rows > 1 else ''}"
            name += ", batching" if batching is batched else ""
            cases[f"REST, {name}"] = Case(over_rest(batching.rest, rows), clients, rows, batching.process)
            cases[f"gRPC, {name}"] = Case(over_grpc(batching.grpc, rows), clients, rows, batching.process)
        for kind in options.pictures:
            cases[f"SavedModel, {kind}"] = Case(bare(options.model, 1, kind), 1, 1)
            cases[f"REST, {kind}"] = Case(over_rest(plain.rest, 1, kind), 1, 1, plain.process)
            cases[f"gRPC, {kind}"] = Case(over_grpc(plain.grpc, 1, kind), 1, 1, plain.process)
        results = run(cases, rounds, seconds)
    report(results, f"{network_of(options.model)}: {rounds} interleaved rounds of {seconds:g} s each")


def logging_costs(model: Path, rounds: int, seconds: float) -> None:
    """Prints what a server takes that logs none, a tenth or all of its answers."""
    with ExitStack() as stack:
        folder, cases = stack.enter_context(tempfile.TemporaryDirectory()), dict[str, Case]()
        for name, sample in (("no log", None), ("a tenth", 0.1), ("all", 1.0)):
            told = [] if sample is None else [f"--log-answers={folder}/{name}", f"--sample={sample}"]
            logging = stack.enter_context(server(model, *told))
            for clients in (1, CLIENTS):
                cases[f"{name}, {clients} at once"] = Case(over_grpc(logging.grpc, 1), clients, 1, logging.process)
        results = run(cases, rounds, seconds)
    rows = []
    for name, turns in results.items():
        plain = results[f"no log,{name.partition(',')[2]}"]
        p50, rate, cpu = ([pick(each) for each in turns] for pick in _PICKS)
        before = [[pick(each) for each in plain] for pick in _PICKS]
        ratios = [float(np.median(np.divide(now, then))) for now, then in zip((p50, rate, cpu), before, strict=True)]
        rows.append([
            name, f"{np.median(p50):.1f}", f"{np.median(np.subtract(p50, before[0])):+.2f}", f"{np.median(rate):.1f}",
            f"{ratios[1]:.3f}", f"{1000 * np.median(cpu):.1f}", f"{ratios[2]:.3f}",
        ])  # fmt: skip
    columns = ("logged", "p50 ms", "more", "pictures/s", "to no log", "CPU ms/picture", "to no log")
    show(f"A log of answers, {network_of(model)}: {rounds} interleaved rounds of {seconds:g} s", columns, rows)


def run(cases: dict[str, Case], rounds: int, seconds: float) -> dict[str, list[Taken]]:
    """Measures each case once a round."""
    for case in cases.values():
        measure(case, 1)  # not counted: first calls make connections and fill caches
    return take_turns({name: partial(measure, case, seconds) for name, case in cases.items()}, rounds)


def report(results: dict[str, list[Taken]], title: str) -> None:
    """Prints the table."""
    latencies = {name: 1000 * np.concatenate([each.latencies for each in of]) for name, of in results.items()}
    rates = {name: float(np.median([each.rate for each in of])) for name, of in results.items()}
    bare_rate = rates[f"SavedModel, {BATCH} pictures"]
    rows = []
    for name, of in results.items():
        p50, p99 = np.percentile(latencies[name], (50, 99))
        kind = next((kind for kind in LARGE if name.endswith(kind)), "1 picture")
        bare_latency = float(np.median(latencies[f"SavedModel, {kind}"]))
        rows.append([
            name, f"{p50:.1f}", f"{p99:.1f}", ratio(p50, bare_latency), f"{rates[name]:.1f}",
            ratio(rates[name], bare_rate), f"{1000 * np.median([each.cpu for each in of]):.1f}",
        ])  # fmt: skip
    show(
        f"Servers against the SavedModel, {title}",
        ("", "p50 ms", "p99 ms", "to bare", "pictures/s", "to bare", "CPU ms/picture"),
        rows,
    )


if __name__ == "__main__":
    main()
