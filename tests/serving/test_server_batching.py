"""Batching: requests that wait share a run, each gets its own rows back, and none suffers from another."""

import asyncio
import time

import grpc
import numpy as np
import pytest

from serving.server.batching import Batcher
from serving.server.config import Batching
from serving.server.errors import ServingError
from serving.server.metrics import Metrics

SECOND = 1_000_000  # microseconds
POISON = -1.0


class Network:
    """Stands for TensorFlow: doubles its input, and keeps what it was given. It answers when its gate is open."""

    def __init__(self, outputs=lambda x: {"y": x * 2}):
        self.runs, self.keys, self.gate, self.outputs = [], [], asyncio.Event(), outputs
        self.gate.set()
        self.at_once = self.most_at_once = 0

    async def run(self, key, inputs):
        self.runs.append(inputs["x"].tolist())
        self.keys.append(key)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await self.gate.wait()
        await asyncio.sleep(0)
        self.at_once -= 1
        if POISON in inputs["x"]:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "poison")
        return self.outputs(inputs["x"])


def batched(scenario, outputs=lambda x: {"y": x * 2}, **batching):
    """Runs a scenario(network, ask, metrics) on an event loop of its own."""

    async def main():
        network, metrics = Network(outputs), Metrics()
        batcher = Batcher(Batching(**batching), network.run, metrics)

        def ask(*rows, key="k"):
            return asyncio.ensure_future(batcher.submit(key, {"x": np.array(rows, np.float32)}))

        return await asyncio.wait_for(scenario(network, ask, metrics), 20)

    return asyncio.run(main())


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def busy(network, ask):
    """Keeps the one thread occupied, so that what is asked next has to wait."""
    network.gate.clear()
    first = ask(0)
    await settle()
    network.runs.clear()
    return first


def test_requests_that_wait_share_one_run_and_get_their_own_rows():
    async def scenario(network, ask, metrics):
        first = await busy(network, ask)
        waiting = [ask(1), ask(2, 3), ask(4)]
        await settle()
        assert b"fashion_queued_requests 3.0" in metrics.exposition()
        network.gate.set()
        answers = await asyncio.gather(first, *waiting)
        assert [answer["y"].tolist() for answer in answers] == [[0], [2], [4, 6], [8]]
        assert network.runs == [[1, 2, 3, 4]]
        page = metrics.exposition()
        assert b":tensorflow:serving:batching_session:wrapped_run_count 2.0" in page
        assert b"fashion_batch_rows_sum 5.0" in page
        assert b"fashion_queued_requests 0.0" in page

    batched(scenario)


def test_lone_client_never_waits_for_company():
    async def scenario(network, ask, metrics):
        began = time.monotonic()
        for _ in range(20):
            await ask(1)
        assert time.monotonic() - began < 5
        assert len(network.runs) == 20

    batched(scenario, batch_timeout_micros=5 * SECOND)


def test_clients_that_ask_again_at_once_share_every_run():
    async def scenario(network, ask, metrics):
        async def client(row):
            for _ in range(10):
                await ask(row)

        await asyncio.gather(*(client(row) for row in range(8)))
        assert [len(run) for run in network.runs] == [1, *[8] * 9, 7]  # the first one came alone

    batched(scenario, batch_timeout_micros=SECOND)


def test_batch_that_stays_small_starts_after_its_timeout():
    async def scenario(network, ask, metrics):
        await asyncio.gather(ask(1), ask(2), ask(3))  # so that three are expected
        began = time.monotonic()
        await ask(4)
        assert 0.19 < time.monotonic() - began < 5

    batched(scenario, batch_timeout_micros=SECOND // 5)


def test_batches_are_full_before_another_is_begun():
    async def scenario(network, ask, metrics):
        first = await busy(network, ask)
        waiting = [ask(1, 2), ask(3, 4), ask(5), ask(6)]
        await settle()
        network.gate.set()
        await asyncio.gather(first, *waiting)
        assert network.runs == [[1, 2, 3, 4], [5, 6]]

    batched(scenario, max_batch_size=4)


def test_keys_are_not_mixed_and_take_turns():
    async def scenario(network, ask, metrics):
        first = await busy(network, ask)
        waiting = [ask(row, key=key) for row, key in enumerate("aaaab")]
        await settle()
        network.gate.set()
        await asyncio.gather(first, *waiting)
        assert network.keys == ["k", "a", "b", "a"]
        assert network.runs == [[0, 1], [4], [2, 3]]

    batched(scenario, max_batch_size=2, batch_timeout_micros=0)


def test_small_batch_gets_its_turn_beside_a_key_that_fills_all_of_its_own():
    async def scenario(network, ask, metrics):
        async def flood():
            while True:
                await ask(1, 1, key="flood")

        floods = [asyncio.ensure_future(flood()) for _ in range(4)]
        await settle()
        await asyncio.wait_for(ask(7, key="small"), 5)
        for each in floods:
            each.cancel()

    batched(scenario, max_batch_size=2, batch_timeout_micros=1000)


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_batches_run_at_once_than_there_are_threads(threads):
    async def scenario(network, ask, metrics):
        await asyncio.gather(*(ask(row, key=row % 5) for row in range(20)))
        assert network.most_at_once == threads

    batched(scenario, num_batch_threads=threads, max_enqueued_batches=20)


def refused(code, message, scenario_of, **batching):
    async def scenario(network, ask, metrics):
        with pytest.raises(ServingError, match=message) as caught:
            await scenario_of(network, ask)
        assert caught.value.code == code
        network.gate.set()
        assert (await ask(21))["y"].tolist() == [42]

    batched(scenario, **batching)


def test_request_above_the_largest_batch_is_refused():
    async def too_large(network, ask):
        await ask(1, 2, 3)

    refused(
        grpc.StatusCode.INVALID_ARGUMENT,
        "^Task size 3 is larger than maximum input batch size 2$",
        too_large,
        max_batch_size=2,
    )


def test_request_that_finds_the_queue_full_is_refused_and_the_others_are_answered():
    async def one_too_many(network, ask):
        first = await busy(network, ask)
        waiting = [ask(row, row) for row in range(3)]
        await settle()
        try:
            await ask(9)
        finally:
            network.gate.set()
            answers = await asyncio.gather(first, *waiting)
            assert [answer["y"].tolist() for answer in answers[1:]] == [[0, 0], [2, 2], [4, 4]]

    refused(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "^The batch scheduling queue to which this task was submitted is full",
        one_too_many,
        max_batch_size=2,
        max_enqueued_batches=3,
    )


def test_large_request_is_split_over_batches_and_answered_in_order():
    async def scenario(network, ask, metrics):
        answer = await ask(1, 2, 3, 4, 5)
        assert answer["y"].tolist() == [2, 4, 6, 8, 10]
        assert network.runs == [[1, 2], [3, 4], [5]]

    batched(scenario, max_batch_size=6, enable_large_batch_splitting=True, max_execution_batch_size=2)


def test_requests_take_turns_with_the_pieces_of_a_large_one_and_its_place_is_kept():
    async def scenario(network, ask, metrics):
        first = await busy(network, ask)
        large, small = ask(*range(6)), ask(7, 7)
        await settle()
        with pytest.raises(ServingError, match="4 of at most 4 batches wait, and it takes 2 more"):
            await ask(8, 8, 8)  # two pieces of the large one are still to come
        network.gate.set()
        await asyncio.gather(first, large, small)
        assert network.runs == [[0, 1], [7, 7], [2, 3], [4, 5]]
        assert (await ask(*range(6)))["y"].tolist() == [0, 2, 4, 6, 8, 10]

    sizes = {"max_batch_size": 6, "enable_large_batch_splitting": True, "max_execution_batch_size": 2}
    batched(scenario, max_enqueued_batches=4, **sizes)


def test_large_request_is_refused_whole_where_only_part_of_it_fits():
    async def too_much(network, ask):
        first, waiting = await busy(network, ask), ask(8)
        await settle()
        try:
            await ask(1, 2, 3, 4)
        finally:
            network.gate.set()
            await asyncio.gather(first, waiting)
            assert network.runs == [[8]]

    refused(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "1 of at most 2 batches wait, and it takes 2 more",
        too_much,
        max_batch_size=6,
        max_enqueued_batches=2,
        enable_large_batch_splitting=True,
        max_execution_batch_size=2,
    )


def test_request_of_a_caller_that_has_gone_is_not_run_and_frees_its_place():
    async def scenario(network, ask, metrics):
        first = await busy(network, ask)
        gone, stays = ask(7, 7), ask(1, 1)
        await settle()
        gone.cancel()
        await settle()
        another = ask(2, 2)  # there would be no room for it
        await settle()
        network.gate.set()
        await asyncio.gather(first, stays, another)
        assert gone.cancelled()
        assert sorted(network.runs) == [[1, 1], [2, 2]]
        assert b"fashion_queued_requests 0.0" in metrics.exposition()

    batched(scenario, max_batch_size=2, max_enqueued_batches=2)


def test_caller_that_goes_while_its_batch_runs_leaves_the_others_their_answers():
    async def scenario(network, ask, metrics):
        first = await busy(network, ask)
        gone, stays = ask(7), ask(1)
        await settle()
        network.gate.set()
        await first
        network.gate.clear()
        await settle()
        assert network.runs == [[7, 1]]
        gone.cancel()
        network.gate.set()
        assert (await stays)["y"].tolist() == [2]

    batched(scenario, batch_timeout_micros=0)


def test_error_reaches_only_the_request_that_caused_it():
    async def scenario(network, ask, metrics):
        first = await busy(network, ask)
        waiting = [ask(1), ask(POISON), ask(3)]
        await settle()
        network.gate.set()
        _, one, two, three = await asyncio.gather(first, *waiting, return_exceptions=True)
        assert (one["y"].tolist(), three["y"].tolist()) == ([2], [6])
        assert str(two) == "poison"

    batched(scenario)


def test_bug_reaches_all_requests_and_the_next_are_answered():
    def broken(x):
        if 13 in x:
            raise ZeroDivisionError
        return {"y": x * 2}

    async def scenario(network, ask, metrics):
        first = await busy(network, ask)
        waiting = [ask(13), ask(1)]
        await settle()
        network.gate.set()
        _, *outcomes = await asyncio.gather(first, *waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
        assert (await ask(5))["y"].tolist() == [10]

    batched(scenario, outputs=broken)


def test_batch_is_filled_up_to_an_allowed_size_with_rows_that_nobody_sees():
    async def scenario(network, ask, metrics):
        first = await busy(network, ask)
        waiting = [ask(1, 2), ask(3)]
        await settle()
        network.gate.set()
        answers = await asyncio.gather(first, *waiting)
        assert [answer["y"].tolist() for answer in answers] == [[0], [2, 4], [6]]
        assert network.runs == [[1, 2, 3, 1]]

    batched(scenario, allowed_batch_sizes=(1, 4, 32))


def test_outputs_that_are_not_rows_are_not_shared_between_requests():
    async def scenario(network, ask, metrics):
        first = await busy(network, ask)
        waiting = [ask(1), ask(2)]
        await settle()
        network.gate.set()
        answers = await asyncio.gather(first, *waiting)
        assert [float(answer["sum"]) for answer in answers] == [0, 1, 2]

    batched(scenario, outputs=lambda x: {"y": x, "sum": x.sum()})


def test_empty_request_is_answered_by_itself():
    async def scenario(network, ask, metrics):
        assert (await ask())["y"].shape == (0,)

    batched(scenario, allowed_batch_sizes=(32,))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.float32(1)}, "must have at least one dimension"),
        ({"x": np.zeros(2), "z": np.zeros(3)}, "must have equal 0th-dimension size"),
    ],
)
def test_inputs_without_common_rows_are_refused(inputs, message):
    async def main():
        batcher = Batcher(Batching(), Network().run, Metrics())
        with pytest.raises(ServingError, match=message):
            await batcher.submit("k", {name: np.asarray(array) for name, array in inputs.items()})

    asyncio.run(main())
