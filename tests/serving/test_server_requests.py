"""Requests under way are answered to their end, whatever is unloaded or stopped, and none is run for nobody."""

import asyncio
import threading

import numpy as np
import pytest

from serving.server.config import Batching, Options, single_model
from serving.server.servable import Servable
from tests.serving.managed_models import FAST, NAME, M, ask, put, refusal, run, serving, states, until
from tests.serving.managed_models import base as base
from tests.serving.managed_models import models as models
from tests.serving.managed_models import pictures as pictures

pytestmark = pytest.mark.slow


class Gate:
    """Holds every run of TensorFlow until it is opened."""

    def __init__(self, monkeypatch):
        self.open, self.runs, original = threading.Event(), [], Servable.run

        def gated(servable, signature, inputs):
            self.runs.append(len(inputs["image_bytes"]))
            assert self.open.wait(20)
            return original(servable, signature, inputs)

        monkeypatch.setattr(Servable, "run", gated)


def test_old_version_is_unloaded_only_when_its_running_requests_have_ended(models, base, pictures, monkeypatch):
    async def scenario():
        async with serving(single_model(NAME, base), FAST) as manager:
            gate = Gate(monkeypatch)
            running = asyncio.ensure_future(ask(manager, pictures))
            await until(lambda: gate.runs)
            put(models, base, 2)
            await until(lambda: states(manager) == {2: "AVAILABLE", 1: "UNLOADING"})
            await asyncio.sleep(0.2)
            assert states(manager)[1] == "UNLOADING"
            gate.open.set()
            assert await running == 1
            await until(lambda: states(manager)[1] == "END")

    run(scenario)


@pytest.mark.parametrize("batching", [None, Batching(max_batch_size=64)], ids=["alone", "batched"])
def test_stopping_lets_running_requests_end_and_refuses_new_ones(base, pictures, batching, monkeypatch):
    async def scenario():
        async with serving(single_model(NAME, base), Options(batching=batching)) as manager:
            gate = Gate(monkeypatch)
            running = [asyncio.ensure_future(ask(manager, pictures)) for _ in range(5)]
            await until(lambda: gate.runs)
            stopping = asyncio.ensure_future(manager.stop())
            await asyncio.sleep(0.1)
            assert not manager.ready
            code, message = await refusal(ask(manager, pictures))
            assert (code, message.partition(":")[0]) == ("UNAVAILABLE", "The server is shutting down")
            assert not stopping.done()
            gate.open.set()
            assert await asyncio.gather(*running) == [1] * 5
            await stopping
            assert states(manager) == {1: "END"}

    run(scenario)


def test_batching_merges_the_requests_that_wait_and_refuses_those_that_find_no_room(base, pictures, monkeypatch):
    async def scenario():
        batching = Batching(max_batch_size=6, max_enqueued_batches=1, batch_timeout_micros=0)
        async with serving(single_model(NAME, base), Options(batching=batching)) as manager:
            gate = Gate(monkeypatch)
            running = [asyncio.ensure_future(ask(manager, pictures))]
            await until(lambda: gate.runs)
            running += [asyncio.ensure_future(ask(manager, pictures[number:])) for number in (0, 1)]
            await asyncio.sleep(0.05)
            code, _ = await refusal(ask(manager, pictures))
            assert code == "RESOURCE_EXHAUSTED"
            code, message = await refusal(ask(manager, np.repeat(pictures, 3)))
            assert (code, message) == ("INVALID_ARGUMENT", "Task size 9 is larger than maximum input batch size 6")
            gate.open.set()
            assert await asyncio.gather(*running) == [1, 1, 1]
            assert gate.runs == [3, 5]

    run(scenario)


@pytest.mark.parametrize("batching", [None, Batching()], ids=["alone", "batched"])
def test_request_of_a_caller_that_has_gone_is_not_run(base, pictures, batching, monkeypatch):
    async def scenario():
        async with serving(single_model(NAME, base), Options(threads=1, batching=batching)) as manager:
            gate = Gate(monkeypatch)
            first = asyncio.ensure_future(ask(manager, pictures))
            await until(lambda: gate.runs)
            gone = asyncio.ensure_future(ask(manager, pictures[:1]))
            await asyncio.sleep(0.05)
            gone.cancel()
            gate.open.set()
            assert await first == 1
            assert await ask(manager, pictures[:2]) == 1
            assert gate.runs == [3, 2]

    run(scenario)


@pytest.mark.parametrize("batching", [None, Batching.for_requests(1024)], ids=["alone", "batched"])
def test_large_request_is_never_one_run_and_its_answer_is_in_order(base, pictures, batching, monkeypatch):
    async def scenario():
        async with serving(single_model(NAME, base), Options(batching=batching)) as manager:
            gate = Gate(monkeypatch)
            gate.open.set()
            rows = np.resize(np.append(pictures, b"no picture"), 1000)
            answer = await manager.predict(M, {"image_bytes": rows})
            assert gate.runs == [*[32] * 31, 8]
            assert (answer.outputs["error"] == b"").tolist() == (rows != b"no picture").tolist()

    run(scenario)


def test_small_request_does_not_wait_for_the_whole_of_a_large_one(base, pictures, monkeypatch):
    async def scenario():
        batching = Batching.for_requests(1024)
        async with serving(single_model(NAME, base), Options(batching=batching)) as manager:
            gate = Gate(monkeypatch)
            large = asyncio.ensure_future(ask(manager, np.resize(pictures, 1024)))
            await until(lambda: gate.runs)
            small = asyncio.ensure_future(ask(manager, pictures[:1]))
            await asyncio.sleep(0.05)
            gate.open.set()
            await asyncio.gather(large, small)
            assert gate.runs.index(1) <= 2

    run(scenario)
