"""What the local model server costs beside calling the SavedModel in one's own process.

    python benchmarks/serving.py --model runs/serving/six_class/<version> [--seconds 5] [--rounds 3]

Bare calls and served requests take turns on the same machine, so that what else it does hits both. Requests carry one
picture of 60 x 80 pixels each; the client runs on the same cores as the server. Ratios of latency are to a bare call
with one picture, ratios of throughput to bare calls with 32.
"""

import argparse
import base64
import io
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
import urllib3
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

PICTURES = 64
BATCH = 32
CLIENTS = 8

Call = Callable[[int], None]  # asks about the picture of that number


def drawn(number: int) -> bytes:
    """A JPEG of 60 x 80 pixels."""
    random = np.random.default_rng(number)
    picture = Image.fromarray(random.integers(0, 256, (8, 6, 3)).astype(np.uint8)).resize((60, 80))
    stream = io.BytesIO()
    picture.save(stream, "JPEG")
    return stream.getvalue()


@contextmanager
def server(model: Path, *options: str) -> Iterator[tuple[str, str]]:
    """Starts `fashion serve` on one version; gives its REST URL and its gRPC address."""
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
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    try:
        assert process.stdout
        found = [re.search(r"\S+\n$", process.stdout.readline()) for _ in range(2)]
        rest, calls = (match[0].strip() for match in found if match)
        yield rest, calls
    finally:
        process.terminate()
        process.wait(60)


def over_rest(url: str, pictures: list[bytes]) -> Call:
    """Asks a server for one picture at a time, over REST."""
    pool = urllib3.PoolManager(maxsize=CLIENTS)
    bodies = [json.dumps({"instances": [{"b64": base64.b64encode(p).decode()}]}).encode() for p in pictures]

    def call(number: int) -> None:
        response = pool.request("POST", f"{url}/v1/models/model:predict", body=bodies[number % len(bodies)])
        assert response.status == 200, response.data
        assert json.loads(response.data)["predictions"][0]["error"] == ""

    return call


def over_grpc(address: str, pictures: list[bytes]) -> Call:
    """Asks a server for one picture at a time, over gRPC."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(address))
    requests = [predict_pb2.PredictRequest() for _ in pictures]
    for request, picture in zip(requests, pictures, strict=True):
        request.model_spec.name = "model"
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([picture]))

    def call(number: int) -> None:
        response = stub.Predict(requests[number % len(requests)], 60)
        assert response.outputs["error"].string_val[0] == b""

    return call


def bare(model: Path, pictures: list[bytes], rows: int) -> Call:
    """Calls the SavedModel in this process, with that many pictures at a time."""
    loaded = tf.saved_model.load(str(model))
    predict = loaded.signatures["serving_default"]
    batches = [tf.constant(list(itertools.islice(itertools.cycle(pictures), n, n + rows))) for n in range(8)]

    def call(number: int) -> None:
        answer = predict(image_bytes=batches[number % len(batches)])
        assert len({name: value.numpy() for name, value in answer.items()}["error"]) == rows

    call.loaded = loaded  # type: ignore[attr-defined] # a signature does not keep its model's variables
    return call


def measure(call: Call, clients: int, seconds: float) -> tuple[list[float], float]:
    """Latency of each call, seconds, and calls a second, with that many callers at once."""
    until, latencies = time.perf_counter() + seconds, []
    numbers, lock = itertools.count(), threading.Lock()

    def client() -> None:
        while True:
            began = time.perf_counter()
            if began >= until:
                return
            with lock:
                number = next(numbers)
            call(number)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(client) for _ in range(clients)]:
            future.result()
    return latencies, len(latencies) / (time.perf_counter() - began)


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a version's folder")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="in which all measurements take turns")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    pictures = [drawn(number) for number in range(PICTURES)]
    with ExitStack() as stack:
        plain = stack.enter_context(server(options.model))
        batched = stack.enter_context(server(options.model, "--batching"))
        one, many = bare(options.model, pictures, 1), bare(options.model, pictures, BATCH)
        cases: dict[str, tuple[Call, int, int]] = {
            "SavedModel, 1 picture": (one, 1, 1),
            f"SavedModel, {BATCH} pictures": (many, 1, BATCH),
            "REST, 1 client": (over_rest(plain[0], pictures), 1, 1),
            "gRPC, 1 client": (over_grpc(plain[1], pictures), 1, 1),
            "REST, 1 client, batching": (over_rest(batched[0], pictures), 1, 1),
            "gRPC, 1 client, batching": (over_grpc(batched[1], pictures), 1, 1),
            f"REST, {CLIENTS} clients": (over_rest(plain[0], pictures), CLIENTS, 1),
            f"gRPC, {CLIENTS} clients": (over_grpc(plain[1], pictures), CLIENTS, 1),
            f"REST, {CLIENTS} clients, batching": (over_rest(batched[0], pictures), CLIENTS, 1),
            f"gRPC, {CLIENTS} clients, batching": (over_grpc(batched[1], pictures), CLIENTS, 1),
        }
        report(run(cases, options.rounds, options.seconds))


def run(cases: dict[str, tuple[Call, int, int]], rounds: int, seconds: float) -> dict[str, tuple[np.ndarray, float]]:
    """Latencies, ms, and pictures a second of each case, over all rounds."""
    for call, clients, _ in cases.values():
        measure(call, clients, 1)  # not counted: first calls make connections and fill caches
    latencies: dict[str, list[float]] = {name: [] for name in cases}
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (call, clients, rows) in cases.items():
            taken, calls = measure(call, clients, seconds)
            latencies[name] += taken
            rates[name].append(calls * rows)
    return {name: (1000 * np.array(latencies[name]), float(np.median(rates[name]))) for name in cases}


def report(results: dict[str, tuple[np.ndarray, float]]) -> None:
    """Writes the table."""
    bare_latency = np.median(results["SavedModel, 1 picture"][0])
    bare_rate = results[f"SavedModel, {BATCH} pictures"][1]
    lines = [f"{'':<28}{'p50 ms':>8}{'p99 ms':>8}{'ratio':>7}{'pictures/s':>12}{'ratio':>7}"]
    for name, (latency, rate) in results.items():
        p50, p99 = np.percentile(latency, (50, 99))
        lines.append(f"{name:<28}{p50:8.1f}{p99:8.1f}{p50 / bare_latency:7.2f}{rate:12.1f}{rate / bare_rate:7.2f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
