"""The model manager: requests are answered by one good version, whatever happens in the model folders meanwhile."""

import asyncio
import logging
import os
import shutil
from pathlib import Path

import grpc
import numpy as np
import pytest

from serving.server.config import Batching, Options, single_model
from serving.server.errors import ServingError
from serving.server.manager import ModelManager, Spec
from serving.server.metrics import Metrics
from serving.server.servable import WARMUP_FILE, Servable
from tests.serving.managed_models import (
    FAST,
    NAME,
    STILL,
    M,
    ask,
    configured,
    put,
    refusal,
    remove,
    run,
    serving,
    specific,
    states,
    until,
)
from tests.serving.managed_models import base as base
from tests.serving.managed_models import models as models
from tests.serving.managed_models import pictures as pictures

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("policy", "serve"),
    [
        ("", {3}),
        ("model_version_policy { latest { num_versions: 2 } }", {3, 2}),
        ("model_version_policy { all {} }", {3, 2, 1}),
        (specific(1, 3, 9), {3, 1}),
    ],
)
def test_policy_says_which_versions_serve(models, base, pictures, policy, serve):
    async def scenario():
        put(models, base, 2)
        put(models, base, 3)
        async with serving(configured(base, policy=policy)) as manager:
            assert set(states(manager)) == serve
            assert await ask(manager, pictures) == 3
            for version in (1, 2, 3):
                spec = Spec(NAME, version)
                if version in serve:
                    assert await ask(manager, pictures, spec) == version
                else:
                    code, message = await refusal(ask(manager, pictures, spec))
                    assert (code, message) == (
                        "NOT_FOUND",
                        f"Servable not found for request: Specific({NAME}, {version})",
                    )

    run(scenario)


def test_answers_are_those_of_the_model_and_only_the_outputs_asked_for(base, pictures):
    async def scenario():
        async with serving(single_model(NAME, base)) as manager:
            inputs = {"image_bytes": pictures}
            answer = await manager.predict(M, inputs)
            assert (answer.version, answer.signature) == (1, "serving_default")
            servable = Servable(base / "1")
            expected = servable.run("serving_default", inputs)
            servable.close()
            assert set(answer.outputs) == set(expected)
            for name, values in answer.outputs.items():
                assert values.tolist() == expected[name].tolist()
            answer = await manager.predict(M, inputs, ["error", "label"])
            assert list(answer.outputs) == ["error", "label"]
            answer = await manager.predict(Spec(NAME, signature="embed"), inputs)
            assert set(answer.outputs) == {"embedding", "error"}
            version, signatures = manager.signatures(M)
            assert version == 1
            assert {"serving_default", "examples", "embed"} <= set(signatures)
            assert list(signatures["embed"].inputs) == ["image_bytes"]

    run(scenario)


FLOATS = {"image_bytes": np.ones(2, np.float32)}
TEXT = np.array([b"x"], object)
REFUSALS = [
    (Spec("other"), {}, (), "NOT_FOUND", r"Servable not found for request: Latest(other)"),
    (Spec(NAME, 7), {}, (), "NOT_FOUND", f"Servable not found for request: Specific({NAME}, 7)"),
    (Spec(NAME, label="gold"), {}, (), "INVALID_ARGUMENT", "Unrecognized servable version label: gold"),
    (Spec(""), {}, (), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    (Spec(NAME, signature="x"), {}, (), "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
    (M, {}, (), "INVALID_ARGUMENT", "input size does not match signature: 0!=1 len({}) != len({image_bytes}). "
     "Sent extra: {}. Missing but required: {image_bytes}."),
    (M, {"x": TEXT}, (), "INVALID_ARGUMENT", "input tensor alias not found in signature: x. Inputs expected to be in "
     "the set {image_bytes}."),
    (M, FLOATS, (), "INVALID_ARGUMENT", "Expects arg[0] to be string but float is provided"),
    (M, {"image_bytes": TEXT[:, None]}, (), "INVALID_ARGUMENT", "input 'image_bytes' has shape [1, 1], which does not "
     "fit the signature's [-1]"),
    (M, {"image_bytes": np.array(b"x", object)}, (), "INVALID_ARGUMENT", "input 'image_bytes' has shape [], which does "
     "not fit the signature's [-1]"),
    (M, {"image_bytes": np.array([1, None], object)}, (), "INVALID_ARGUMENT", "input 'image_bytes' holds something "
     "else than strings"),
    (M, {"image_bytes": TEXT}, ("score",), "INVALID_ARGUMENT", "output tensor alias not found in signature: score "
     "Outputs expected to be in the set {confidence,error,label,probabilities,top_labels,top_scores}."),
    (M, {"image_bytes": TEXT}, ("label", "label"), "INVALID_ARGUMENT", "duplicate output tensor alias: label"),
]  # fmt: skip


def test_wrong_requests_are_refused_as_tensorflow_serving_does_and_loads_are_counted(base, pictures):
    async def scenario():
        metrics = Metrics()
        async with serving(single_model(NAME, base), metrics=metrics) as manager:
            for spec, inputs, output_filter, code, message in REFUSALS:
                assert await refusal(manager.predict(spec, inputs, output_filter)) == (code, message)
            code, _ = await refusal(manager.predict(Spec(NAME, signature="examples"), {"examples": TEXT}))
            assert code == "INVALID_ARGUMENT"  # TensorFlow's own: it does not parse
            assert await ask(manager, pictures) == 1
        page = metrics.exposition().decode().splitlines()
        assert "# TYPE :tensorflow:serving:request_count counter" in page
        assert f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{base}/1",status="success"}} 1.0' in page
        assert not [line for line in page if "_created" in line or "request_count_total" in line]

    run(scenario)


@pytest.mark.parametrize("batching", [None, Batching(max_batch_size=8)], ids=["alone", "batched"])
def test_hot_swaps_under_load_fail_no_request_and_mix_no_versions(models, base, pictures, batching):
    async def scenario():
        options = Options(poll_seconds=0.03, batching=batching)
        async with serving(single_model(NAME, base), options) as manager:
            done, seen = asyncio.Event(), []

            async def client(number):
                while not done.is_set():
                    seen.append(await ask(manager, pictures[number % 3 :]))

            clients = [asyncio.ensure_future(client(number)) for number in range(8)]
            for version in (2, 3):
                put(models, base, version)
                await until(lambda version=version: states(manager).get(version) == "AVAILABLE")
                await until(lambda version=version: states(manager)[version - 1] == "END")
            remove(base, 3)  # a rollback
            await until(lambda: states(manager) == {3: "END", 2: "AVAILABLE", 1: "END"})
            done.set()
            await asyncio.gather(*clients)
            assert set(seen) == {1, 2, 3}
            first_of = [seen.index(version) for version in (1, 2, 3)]
            assert first_of == sorted(first_of)
            assert await ask(manager, pictures) == 2

    run(scenario)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bad_warmup(version):
    (version / WARMUP_FILE).write_bytes(warmup_of([b"x"], signature="nope"))


def warmup_of(texts, signature=""):
    """A file of one warm-up request."""
    import tempfile

    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = NAME, signature
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(texts))
    with tempfile.NamedTemporaryFile() as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            writer.write(log.SerializeToString())
        return Path(file.name).read_bytes()


BREAKAGES = [
    (lambda v: (v / "saved_model.pb").unlink(), "NOT_FOUND"),
    (lambda v: cut(v / "saved_model.pb"), "NOT_FOUND"),
    (lambda v: (v / "variables" / "variables.index").unlink(), "DATA_LOSS"),
    (lambda v: cut(v / "variables" / "variables.data-00000-of-00001"), "OUT_OF_RANGE"),
    (lambda v: (v / WARMUP_FILE).write_bytes(b"no records" * 9), "DATA_LOSS"),
    (bad_warmup, "FAILED_PRECONDITION"),
    (lambda v: shutil.rmtree(v) or v.mkdir(), "NOT_FOUND"),
]


@pytest.mark.parametrize(("damage", "code"), BREAKAGES)
def test_broken_new_version_leaves_the_old_serving_until_it_is_repaired(
    models, base, pictures, tmp_path, damage, code, caplog
):
    async def scenario():
        metrics = Metrics()
        async with serving(single_model(NAME, base), FAST, metrics) as manager:
            broken = shutil.copytree(models / "2", tmp_path / "broken")
            damage(broken)
            os.rename(broken, base / "2")
            await until(lambda: manager.status(NAME)[0].error_message)
            await asyncio.sleep(0.3)
            new, old = manager.status(NAME)
            assert (new.version, new.state, grpc_name(new.error_code)) == (2, "END", code)
            assert str(base / "2") in new.error_message
            assert (old.version, old.state, old.error_code) == (1, "AVAILABLE", 0)
            assert await ask(manager, pictures) == 1
            failures = f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{base}/2",status="fail"}} 1.0'
            assert failures in metrics.exposition().decode()  # tried once: nothing has changed since
            assert [record.levelno for record in caplog.records if "version 2 cannot be" in record.message] == [40]
            shutil.rmtree(base / "2")
            shutil.copytree(models / "2", base / "2")
            await until(lambda: states(manager) == {2: "AVAILABLE", 1: "END"})
            assert await ask(manager, pictures) == 2

    caplog.set_level(logging.INFO)
    run(scenario)


def grpc_name(number):
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)


def test_version_that_is_still_being_copied_serves_once_it_is_whole(models, base, pictures):
    async def scenario():
        async with serving(single_model(NAME, base), FAST) as manager:
            for file in sorted((models / "2").rglob("*"), reverse=True):  # the graph last
                if file.is_file():
                    target = base / "2" / file.relative_to(models / "2")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)
                    await asyncio.sleep(0.1)
                    assert await ask(manager, pictures) in (1, 2)
            await until(lambda: states(manager) == {2: "AVAILABLE", 1: "END"})

    run(scenario)


@pytest.mark.parametrize("vanish", [lambda base: remove(base, 1), lambda base: base.rename(base.with_name("gone"))])
def test_last_version_goes_on_serving_from_memory_when_it_vanishes(models, base, pictures, vanish, caplog):
    async def scenario():
        async with serving(single_model(NAME, base), FAST) as manager:
            vanish(base)
            await asyncio.sleep(0.3)
            assert await ask(manager, pictures) == 1
            assert manager.ready
            assert len([record for record in caplog.records if "1 still serves" in record.message]) == 1
            put(models, base, 2)
            await until(lambda: states(manager) == {2: "AVAILABLE", 1: "END"})

    run(scenario)


def test_last_version_is_unloaded_with_its_folder_where_that_is_asked_for(base, pictures):
    async def scenario():
        async with serving(single_model(NAME, base), Options(poll_seconds=0.03, keep_last=False)) as manager:
            remove(base, 1)
            await until(lambda: states(manager) == {1: "END"})
            assert not manager.ready
            assert (await refusal(ask(manager, pictures)))[0] == "NOT_FOUND"

    run(scenario)


def test_read_only_folder_is_served(base, pictures):
    async def scenario():
        for path in (*base.rglob("*"), base):
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            async with serving(single_model(NAME, base), FAST) as manager:
                assert await ask(manager, pictures) == 1
        finally:
            for path in (base, *base.rglob("*")):
                path.chmod(0o755)

    run(scenario)


def test_model_without_versions_answers_not_found_and_serves_the_first_that_comes(models, tmp_path, pictures):
    async def scenario():
        base = tmp_path / NAME
        (base / ".staging-9").mkdir(parents=True)
        (base / "notes").mkdir()
        async with serving(single_model(NAME, base), FAST) as manager:
            assert not manager.ready
            code, message = await refusal(ask(manager, pictures))
            assert (code, message) == ("NOT_FOUND", f"Servable not found for request: Latest({NAME})")
            with pytest.raises(ServingError, match=f"Could not find any versions of model {NAME}"):
                manager.status(NAME)
            put(models, base, 1)
            await until(lambda: manager.ready)
            assert await ask(manager, pictures) == 1

    run(scenario)


def test_waiting_for_a_model_that_cannot_be_loaded_says_why(tmp_path):
    async def scenario():
        (tmp_path / NAME / "4").mkdir(parents=True)
        manager = ModelManager(single_model(NAME, tmp_path / NAME), STILL, Metrics())
        code, message = await refusal(manager.start(wait=True))
        assert code == "UNKNOWN"
        assert message.startswith("1 model(s) did not become available: {six_class due to error: ")
        await manager.stop()

    run(scenario)


def test_status_of_one_version_can_be_asked_for(models, base):
    async def scenario():
        put(models, base, 2)
        async with serving(configured(base, policy="model_version_policy { all {} }")) as manager:
            assert [status.version for status in manager.status(NAME, 1)] == [1]
            with pytest.raises(ServingError, match=f"Could not find version 5 of model {NAME}"):
                manager.status(NAME, 5)

    run(scenario)


def test_warm_up_requests_are_replayed_before_the_version_serves(models, base, pictures, monkeypatch):
    async def scenario():
        replayed = []
        original = Servable.run

        def watched(servable, signature, inputs):
            replayed.append((signature, inputs["image_bytes"].tolist(), states(manager).get(2)))
            return original(servable, signature, inputs)

        async with serving(single_model(NAME, base), FAST) as manager:
            monkeypatch.setattr(Servable, "run", watched)
            staging = base / ".staging-2"
            shutil.copytree(models / "2", staging)
            (staging / WARMUP_FILE).write_bytes(warmup_of(pictures[:2].tolist(), signature="embed"))
            os.rename(staging, base / "2")
            await until(lambda: states(manager).get(2) == "AVAILABLE")
            assert replayed == [("embed", pictures[:2].tolist(), "LOADING")]

    run(scenario)


def test_model_whose_variables_are_not_all_restored_is_refused(tmp_path):
    import keras
    import tensorflow as tf

    class Scale(tf.Module):
        def __init__(self):
            super().__init__()
            self.factor = keras.Variable(2.0, name="factor")  # not the tf.Variable in it, which is what is read

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def scale(self, x):
            return {"y": x * self.factor}

    module = Scale()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.scale})
    with pytest.raises(ServingError, match=r"1 of the 1 variables that its signatures read are not restored .* factor"):
        Servable(tmp_path / "1")
