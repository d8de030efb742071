"""A server finds similar products by the index of the version that answers, whatever is published meanwhile."""

import asyncio
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from fashion_client import InvalidRequest, NotFound, connect

from components.index.settings import Index as Settings
from serving.search.index import VECTORS
from serving.search.query import Query
from serving.server.limits import Limits
from serving.server.manager import Spec
from serving.server.searching import Question, read_question
from tests.contract.asking import Grpc, Refused, Which
from tests.contract.endpoint import Endpoint, ServerProcess
from tests.data.faults import encode
from tests.index.small import make
from tests.serving.managed_models import FAST, NAME, M, configured, refusal, run, serving, until
from tests.serving.managed_models import models as models

pytestmark = pytest.mark.slow

COLOURS = np.array(
    [[255, 0, 0], [200, 40, 0], [0, 255, 0], [0, 0, 255]], np.float32
)  # what the model sees of a picture


def digest(version):
    return f"{version:02d}" * 32


def put_model(models, root, version):
    """Publishes a model with a digest, as the pipeline does."""
    base = root / "serving" / NAME
    staging = base / f".staging-{version}"
    shutil.copytree(models / str(version), staging)
    (staging / "assets.extra" / "provenance.json").write_text(json.dumps({"digest": digest(version)}))
    os.rename(staging, base / str(version))


def put_index(root, version, model, **columns):
    """Publishes an index of four products for a model."""
    columns = {"colour": ["red", "red", "green", None], **columns}
    staging = make(root / "staging", COLOURS, Settings(colour=0.0, duplicate=0.999), digest(model), **columns)
    store = root / "indexes" / NAME
    store.mkdir(parents=True, exist_ok=True)
    os.rename(staging, store / str(version))


def publish(models, root):
    put_model(models, root, 1)
    put_index(root, 11, 1)
    return root


@pytest.fixture
def root(models, tmp_path):
    return publish(models, tmp_path)


def asked(ids=(), pictures=None, **query):
    return Question(None if pictures is None else np.array([*pictures, None], object)[:-1], tuple(ids), Query(**query))


def ids(answer):
    return [match["id"] for match in answer["matches"]]


def plain(colour):
    from PIL import Image

    return encode(Image.new("RGB", (40, 40), colour), "PNG")


def test_pictures_and_products_find_what_is_like_them(root):
    async def scenario():
        async with serving(configured(root / "serving" / NAME)) as manager:
            answer = await manager.search(M, asked(pictures=[plain("red")], k=2))
            assert ids(answer) == ["p0", "p1"]
            assert (answer["model_version"], answer["index_version"]) == ("1", "11")
            assert answer["matches"][0]["attributes"] == {"colour": "red"}
            assert ids(await manager.search(M, asked(["p0"], where="colour = 'green'"))) == ["p2"]
            assert (await refusal(manager.search(M, asked(["nope"]))))[0] == "INVALID_ARGUMENT"
            code, message = await refusal(manager.search(M, asked(pictures=[plain("red"), b"no picture"])))
            assert (code, message.startswith("image_bytes[1]:")) == ("INVALID_ARGUMENT", True)
            code, message = await refusal(manager.search(Spec("other"), asked(["p0"])))
            assert code == "NOT_FOUND"

    run(scenario)


def test_publishing_while_searching_fails_no_request_and_mixes_no_answer(root, models):
    pairs, ended = [], asyncio.Event()

    async def scenario():
        async with serving(configured(root / "serving" / NAME), FAST) as manager:

            async def client():
                while not ended.is_set():
                    answer = await manager.search(M, asked(pictures=[plain("red")], k=1))
                    pairs.append((answer["model_version"], answer["index_version"]))
                    await asyncio.sleep(0)

            clients = [asyncio.create_task(client()) for _ in range(4)]
            put_model(models, root, 2)
            await until(lambda: any(each.version == 2 and each.state == "AVAILABLE" for each in manager.status(NAME)))
            seen = len(pairs)
            await until(lambda: len(pairs) > seen + 20)  # the new model has no index yet: the pair before answers
            put_index(root, 12, 2)
            await until(lambda: pairs[-1] == ("2", "12"))
            put_index(root, 13, 2)
            await until(lambda: pairs[-1] == ("2", "13"))
            await until(lambda: {s.version: s.state for s in manager.status(NAME)} == {2: "AVAILABLE", 1: "END"})
            ended.set()
            await asyncio.gather(*clients)

    run(scenario)
    assert set(pairs) == {("1", "11"), ("2", "12"), ("2", "13")}


def test_broken_and_foreign_indexes_are_passed_over_and_a_model_without_one_says_so(root, models):
    async def scenario():
        put_index(root, 12, 1)
        vectors = root / "indexes" / NAME / "12" / VECTORS
        whole = vectors.read_bytes()
        vectors.write_bytes(whole[:-1])
        put_index(root, 13, 2)
        async with serving(configured(root / "serving" / NAME), FAST) as manager:
            assert (await manager.search(M, asked(["p0"])))["index_version"] == "11"
            await asyncio.sleep(0.2)  # looks that leave it as it is
            vectors.write_bytes(whole)  # the rest of a copy arrives
            while (await manager.search(M, asked(["p0"])))["index_version"] != "12":
                await asyncio.sleep(0.01)
        shutil.rmtree(root / "indexes")
        async with serving(configured(root / "serving" / NAME)) as manager:
            code, message = await refusal(manager.search(M, asked(["p0"])))
            assert (code, "fashion index" in message) == ("FAILED_PRECONDITION", True)

    run(scenario)


QUESTIONS = [
    {"pictures": [plain("red")], "k": 2, "where": "colour is not null"},
    {"pictures": [plain("red"), plain("lime")], "ids": ["p3"], "diversity": 0.3},
    {"ids": ["p0"], "fold": False, "k": 1},
    {"ids": ["p0"], "where": "colour = 'blue'"},
]
MISTAKES = [
    ({"ids": ["p0"], "where": "color = 'red'"}, "did you mean 'colour'"),
    ({"ids": ["p0"], "were": ""}, "did you mean 'where'"),
    ({"ids": ["p0"], "k": "2"}, "k: give a value of type int"),
    ({"ids": ["p0"], "k": 1 << 40}, "k is 1099511627776; give 1 to 1,000"),
    ({"ids": ["p0"], "goes_with": True}, "goes_with"),
    ({"ids": ["nöpe"]}, "no product with the id 'nöpe'"),
    ({"ids": ["p0"] * 2000}, "ids has 2,000 rows"),
    ({}, "nothing was asked about"),
    ({"pictures": [plain("red"), b"\xff\xd8\xff no picture"]}, r"image_bytes\[1\]: "),
]


@pytest.fixture(scope="module")
def server(models, tmp_path_factory):
    server = ServerProcess("--model-base", publish(models, tmp_path_factory.mktemp("served")) / "serving")
    yield server
    assert server.end() == 0, server.log()


def test_a_search_is_answered_alike_over_rest_and_grpc(server):
    with connect(server.rest, NAME) as rest, connect(f"grpc://{server.grpc}", NAME) as grpc:
        for question in QUESTIONS:
            wanted, found = rest.similar(**question), grpc.similar(**question)
            assert [replace(match, score=0.0) for match in found] == [replace(match, score=0.0) for match in wanted]
            assert [match.score for match in found] == pytest.approx([match.score for match in wanted], abs=1e-6)
        assert [match.id for match in rest.similar(**QUESTIONS[0])] == ["p0", "p1"]
        assert grpc.similar(**QUESTIONS[2])[0].attributes == {"colour": "red"}
        for question, said in MISTAKES:
            for client in (rest, grpc):
                with pytest.raises(InvalidRequest, match=said):
                    client.similar(**question)
        with pytest.raises(InvalidRequest, match="k: give one"):
            grpc.similar(ids=["p0"], k=None)
    for address in (server.rest, f"grpc://{server.grpc}"):
        for fault, model, version in ((NotFound, "other", None), (InvalidRequest, NAME, 7)):
            with connect(address, model, version=version) as client, pytest.raises(fault):
                client.similar(ids=["p0"])


def test_a_plain_predict_request_searches(server):
    calls, search = Grpc(Endpoint(server.rest, server.grpc, NAME)), Which(signature="search")
    options = {"k": tf.make_tensor_proto(1), "fold": tf.make_tensor_proto([True])}
    request = calls.request({"ids": [b"p0"], **options}, search)
    answer = calls.call(request)
    assert (answer.model_spec.version.value, answer.outputs["index_version"].string_val) == (1, [b"11"])
    assert [json.loads(each) for each in answer.outputs["attributes"].string_val] == [{"colour": "red"}]
    request.output_filter.append("id")
    assert dict(calls.call(request).outputs) == {"id": answer.outputs["id"]}
    request.output_filter.append("label")
    with pytest.raises(Refused, match="INVALID_ARGUMENT: label: a search has no such output"):
        calls.call(request)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"ids": "p0"}, "ids: give a list"),
        ({"ids": [1]}, "list of strings"),
        ({"ids": ["p0"], "k": True}, "k: give a value of type int"),
        ({"ids": ["p0"], "k": 100_000}, "k is 100000"),
        ({"ids": ["p0"], "wher": ""}, "did you mean 'where'"),
        ({"image_bytes": [{"b64": "%%%"}]}, "image_bytes"),
        ({"ids": ["p"] * 5000}, "ids"),
    ],
)
def test_search_that_is_not_of_the_form_is_refused(document, said):
    from serving.server.errors import ServingError

    with pytest.raises(ServingError, match=said) as refused:
        read_question(document, Limits())
    assert refused.value.code.name == "INVALID_ARGUMENT"
