"""A server that is told to stop is gone when its grace is over, and leaves no client without an answer."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.asking import Grpc, Refused, Rest
from tests.contract.endpoint import Endpoint, ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def endless(tmp_path_factory) -> Path:
    """A model that computes for ever."""
    import tensorflow as tf

    class Endless(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def answer(self, image_bytes):
            sums = tf.strings.length(image_bytes)
            while tf.reduce_all(sums >= 0):
                sums = (sums + 1) % 1000
            return {"sums": sums}

    module, base = Endless(), tmp_path_factory.mktemp("models") / "endless"
    tf.saved_model.save(module, str(base / "1"), signatures={"serving_default": module.answer})
    return base


def test_grace_is_kept_and_whoever_waits_then_is_answered(endless):
    server = ServerProcess("--model-base", endless, "--grace", "1", "--threads", "2")
    try:
        endpoint = Endpoint(server.rest, server.grpc, "endless")
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(ask(endpoint).predict, {"image_bytes": [b"x"]}) for ask in (Rest, Grpc)]
            time.sleep(2)
            assert not any(answer.done() for answer in asked)
            began = time.monotonic()
            server.send(signal.SIGTERM)
            for answer in asked:
                with pytest.raises(Refused, match="shutting down") as refused:
                    answer.result(30)
                assert refused.value.codes == {"UNAVAILABLE"}
            assert server.wait() == 0
        assert time.monotonic() - began < 10
        assert "Traceback" not in server.log()
    finally:
        if server._process.poll() is None:
            server.end(signal.SIGKILL)
