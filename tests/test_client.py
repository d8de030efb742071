"""The client: the same questions and answers over REST and gRPC, and a precise error for whatever a server does."""

import io
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fashion_client
import numpy as np
import pytest
from fashion_client import (
    Batches,
    ClientError,
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    ProtocolError,
    Retries,
    ServerFailed,
    SourceError,
    Timeouts,
    Unavailable,
    connect,
    pictures_in,
    rest,
    rpc,
    wire,
)
from PIL import Image

from tests.fake_server import Behaviour, grpc_server, rest_server

SERVERS = {"rest": rest_server, "grpc": grpc_server}
SCHEMES = {"http": rest_server, "grpc": grpc_server}
QUICK = Retries(attempts=3, first=0.01, longest=0.05)


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture(params=SERVERS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def address(protocol: str, behaviour: Behaviour) -> Iterator[str]:
    with SERVERS[protocol](behaviour) as address:
        yield address


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_pictures_of_every_kind_are_answered_in_their_order(address, behaviour, tmp_path):
    path = tmp_path / "path"
    path.write_bytes(b"shoes")
    with connect(address, "tiny") as client, path.open("rb") as file:
        answers = client.predict([path, str(path), b"bags", file, io.BytesIO(b"rings"), bytearray(b"hats")])
    assert [answer.label for answer in answers] == ["shoes", "shoes", "bags", "shoes", "rings", "hats"]
    assert [answer.source for answer in answers] == [str(path), str(path), "", str(path), "", ""]
    assert answers[2] == fashion_client.Prediction("", "bags", 0.75, (("bags", 0.75), ("other", 0.25)))
    assert behaviour.requests == 1


def test_embeddings_are_float32_that_numpy_takes_without_a_copy(address):
    with connect(address, "tiny") as client:
        good, bad = client.embed([b"four", b"bad"])
    vector = np.asarray(good.vector)
    assert vector.dtype == np.float32
    assert vector.tolist() == pytest.approx([0.6, 4, -0.8])
    assert (len(bad.vector), bad.error) == (0, "this is no picture")


def test_status_and_metadata_are_told_alike(address):
    with connect(address, "tiny") as client:
        assert client.status() == [fashion_client.VersionStatus(3, "AVAILABLE")]
        metadata = client.metadata()
    info = fashion_client.TensorInfo("string", (-1,))
    assert (metadata.model, metadata.version) == ("tiny", 3)
    signature = fashion_client.Signature({"image_bytes": info}, {})
    assert metadata.signatures == {"serving_default": signature, "embed": signature}


def test_bad_pictures_get_their_error_and_no_other_picture_is_touched(address, tmp_path):
    (tmp_path / "good").write_bytes(b"shoes")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(65 << 20)
    os.mkfifo(tmp_path / "pipe")
    paths = [tmp_path / name for name in ("good", "missing", "pipe", "large")]
    with connect(address, "tiny") as client:
        answers = client.predict([*paths, tmp_path, b"bad", b"refuse me", b"bags"])
    assert [answer.label for answer in answers] == ["shoes", "", "", "", "", "", "", "bags"]
    said = ["No such file", "no file", "larger than 64 MB", "no file", "this is no picture", "over the limit"]
    for answer, words in zip(answers[1:-1], said, strict=True):
        assert words in (answer.error or "")
    assert [answer.error for answer in (answers[0], answers[-1])] == [None, None]


def test_no_pictures_are_no_request(address, behaviour):
    with connect(address, "tiny") as client:
        assert client.predict([]) == []
        assert list(client.predict_each([])) == []
    assert behaviour.requests == 0


@pytest.mark.parametrize("one", ["shoe.jpg", b"bytes", io.BytesIO(), np.zeros((2, 2), np.uint8)])
def test_a_picture_instead_of_a_list_is_refused(one):
    with connect("http://127.0.0.1:9", "tiny") as client, pytest.raises(TypeError, match="give a list"):
        client.predict(one)


@pytest.mark.parametrize("nothing", [7, None, io.StringIO("text"), np.zeros((2, 2), np.float32), np.zeros((2, 2, 5))])
def test_what_can_be_no_picture_is_a_mistake_of_the_program(nothing):
    with connect("http://127.0.0.1:9", "tiny") as client, pytest.raises(TypeError):
        client.predict([nothing])


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 3), (4, 3, 4)])
def test_arrays_are_sent_without_loss(address, behaviour, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with connect(address, "tiny") as client:
        client.predict([pixels, pixels[::2], Image.fromarray(pixels)])
    ((_, sent),) = behaviour.asked
    for encoded, expected in zip(sent, (pixels, pixels[::2], pixels), strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded))), expected)


def test_a_turned_picture_is_sent_upright(address, behaviour):
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (6, 4)).save(stream, "JPEG", exif=exif)
    with connect(address, "tiny") as client:
        client.predict([Image.open(stream)])
    assert Image.open(io.BytesIO(behaviour.asked[0][1][0])).size == (4, 6)


FAULTS = [
    ("unknown model", NotFound, "it is unknown model", 1),
    ("forbidden", Forbidden, "it is forbidden", 1),
    ("overloaded", Overloaded, "it is overloaded", 3),
    ("not ready", Unavailable, "it is not ready", 3),
    ("internal", ServerFailed, "it is internal", 1),
    ("invalid", InvalidRequest, "it is invalid", 3),  # of both pictures, of one, of the model
    ("too late", DeadlineExceeded, "", 1),
    ("slow", DeadlineExceeded, "no answer within 0.3 s", 1),
    ("garbage", ProtocolError, "the answer is no", 1),
    ("huge", ProtocolError, "larger than", 1),
    ("missing output", ProtocolError, "gave no 'top_labels'", 1),
    ("too few rows", ProtocolError, "'label' has 1 rows for 2 pictures", 1),
    ("wrong type", ProtocolError, "'label' is not of the type", 1),
]
REST_FAULTS = [
    ("reset", Unavailable, "the connection was cut", 3),
    ("half an answer", ProtocolError, "not complete", 1),
    ("cut JSON", ProtocolError, "no JSON object", 1),
    ("not HTTP", ProtocolError, "not HTTP", 1),
    ("redirect", ProtocolError, "HTTP 302", 1),
    ("dripping", DeadlineExceeded, "no complete answer within 0.3 s", 1),
]


@pytest.mark.parametrize(
    ("protocol", "fault", "kind", "said", "requests"),
    [(name, *row) for name in SERVERS for row in FAULTS] + [("rest", *row) for row in REST_FAULTS],
)
def test_every_fault_has_its_error_and_only_safe_ones_are_tried_again(
    address, behaviour, monkeypatch, fault, kind, said, requests
):
    for module in (rest, rpc):
        monkeypatch.setattr(module, "_MOST_BYTES", 1 << 20)
    behaviour.faults = [fault] * 9
    limits = Timeouts(read=0.3, total=5 if requests > 1 else 0.3)
    began = time.monotonic()
    with connect(address, "tiny", timeouts=limits, retries=QUICK) as client, pytest.raises(ClientError) as caught:
        client.predict([b"shoes", b"bags"])
    assert type(caught.value) is kind
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"tiny at {address}: ")
    assert str(caught.value).endswith(f". {kind.remedy}")
    assert "\n" not in str(caught.value)
    assert behaviour.requests == requests
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("fault", ["invalid", "unknown model", "not ready", "garbage"])
def test_questions_about_the_model_have_the_same_errors(address, behaviour, fault):
    expected = {row[0]: row[1] for row in FAULTS}[fault]
    behaviour.faults = [fault] * 9
    with connect(address, "tiny", retries=QUICK) as client:
        for ask in (client.status, client.metadata):
            with pytest.raises(expected):
                ask()


def test_an_answer_that_is_not_a_number_is_an_error_of_its_picture(address, behaviour):
    behaviour.faults = ["not a number"]
    with connect(address, "tiny") as client:
        assert client.predict([b"shoes"])[0].error == "the model's answer is not a number"


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_server_that_is_down_is_named(scheme):
    where = f"{scheme}://127.0.0.1:{free_port()}"
    with (
        connect(where, "tiny", version=7, retries=QUICK) as client,
        pytest.raises(Unavailable, match="refused") as caught,
    ):
        client.predict([b"shoes"])
    assert str(caught.value).startswith(f"tiny version 7 at {where}: ")


@pytest.mark.parametrize("fault", ["overloaded", "not ready"])
def test_a_server_that_recovers_is_not_noticed(address, behaviour, fault):
    behaviour.faults = [fault, fault]
    with connect(address, "tiny", retries=QUICK) as client:
        assert client.predict([b"shoes"])[0].label == "shoes"
    assert behaviour.requests == 3


def test_a_server_that_restarts_is_found_again(behaviour):
    port = free_port()
    patient = Retries(attempts=5, first=0.2, longest=1)
    with connect(f"http://127.0.0.1:{port}", "tiny", retries=patient) as client:
        with rest_server(behaviour, port):
            client.predict([b"shoes"])
        with pytest.raises(Unavailable), connect(f"http://127.0.0.1:{port}", "tiny", retries=QUICK) as other:
            other.predict([b"shoes"])
        with rest_server(behaviour, port):
            assert client.predict([b"bags"])[0].label == "bags"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_server_that_comes_up_late_is_waited_for(scheme, behaviour):
    port = free_port()
    patient = Retries(attempts=5, first=0.2, longest=1)
    with connect(f"{scheme}://127.0.0.1:{port}", "tiny", retries=patient) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.predict, [b"shoes"])
        time.sleep(0.3)
        with SCHEMES[scheme](behaviour, port):
            assert answer.result(10)[0].label == "shoes"


@pytest.mark.parametrize(("pause", "total", "kind"), [(1, 5.0, None), (60, 5.0, Overloaded), (60, 1.0, Overloaded)])
def test_a_pause_that_the_server_asks_for_is_kept_if_there_is_time(behaviour, pause, total, kind):
    behaviour.faults = [f"asks for a pause of {pause}"]
    began = time.monotonic()
    with rest_server(behaviour) as address, connect(address, "tiny", timeouts=Timeouts(total=total)) as client:
        if kind is None:
            client.predict([b"shoes"])
            assert time.monotonic() - began >= pause
        else:
            with pytest.raises(kind):
                client.predict([b"shoes"])
            assert time.monotonic() - began < 1
    assert behaviour.requests == (2 if kind is None else 1)


def test_a_pause_that_a_grpc_server_asks_for_is_kept(behaviour):
    behaviour.faults = ["asks for a pause of 1"]
    began = time.monotonic()
    with grpc_server(behaviour) as address, connect(address, "tiny", retries=QUICK) as client:
        client.predict([b"shoes"])
    assert time.monotonic() - began >= 1


def test_all_attempts_together_keep_the_total_time(address, behaviour):
    behaviour.faults = ["not ready"] * 9
    limits, patient = Timeouts(total=0.5), Retries(attempts=5, first=0.3, longest=5)
    began = time.monotonic()
    with connect(address, "tiny", timeouts=limits, retries=patient) as client, pytest.raises(ClientError):
        client.predict([b"shoes"])
    assert time.monotonic() - began < 1
    assert 1 < behaviour.requests < 5


@pytest.mark.parametrize(
    ("batches", "sizes"),
    [
        (Batches(rows=3), [3, 3, 1]),
        (Batches(bytes=10), [2, 2, 2, 1]),
        (Batches(bytes=1), [1] * 7),
        (Batches(), [7]),
    ],
)
def test_many_pictures_are_split_by_rows_and_bytes(address, behaviour, batches, sizes):
    pictures = [f"pic-{number}".encode() for number in range(7)]
    with connect(address, "tiny", batches=batches) as client:
        assert [answer.label.encode() for answer in client.predict(pictures)] == pictures
    assert [len(asked) for _, asked in behaviour.asked] == sizes


def test_a_refused_picture_is_found_among_many(address, behaviour):
    pictures = [b"refuse me" if number == 21 else str(number).encode() for number in range(32)]
    with connect(address, "tiny") as client:
        answers = client.predict(pictures)
    assert [number for number, answer in enumerate(answers) if answer.error] == [21]
    assert [answer.label for answer in answers if not answer.error] == [str(n) for n in range(32) if n != 21]
    assert behaviour.requests == 12  # halves, 1 + 2 for each of 5 levels, and once whether the model is at fault


def test_a_model_of_another_kind_is_told_and_not_blamed_on_the_pictures(address, behaviour):
    behaviour.signatures = ["classify"]
    with connect(address, "tiny") as client, pytest.raises(ProtocolError, match="no signature 'serving_default'"):
        client.predict([b"refuse me", b"shoes"])


def test_many_requests_are_under_way_at_once_and_answers_keep_their_order(address, behaviour):
    behaviour.delay = 0.02
    pictures = [str(number).encode() for number in range(200)]
    with connect(address, "tiny", batches=Batches(rows=5, parallel=3)) as client:
        answers = [answer.label.encode() for answer in client.predict_each(pictures)]
    assert answers == pictures
    assert behaviour.most_running == 3


def test_no_more_is_read_ahead_than_is_asked_at_once(address):
    taken = itertools.count()
    highest = [0]

    def endless() -> Iterator[bytes]:
        for number in taken:
            highest[0] = number
            yield b"shoes"

    with connect(address, "tiny", batches=Batches(rows=4, parallel=2)) as client:
        answers = client.predict_each(endless())
        for _ in range(10):
            next(answers)
        answers.close()  # type: ignore[attr-defined]
    assert highest[0] < 10 + 4 * (2 + 2)


def test_a_failing_request_ends_the_answers_after_those_before_it(behaviour):
    with rest_server(behaviour) as address:
        batches = Batches(rows=1, parallel=1)
        with connect(address, "tiny", batches=batches, retries=QUICK) as client:
            behaviour.faults = ["", "", "internal"]
            answers = client.predict_each([b"a", b"b", b"c", b"d"])
            assert [next(answers).label, next(answers).label] == ["a", "b"]
            with pytest.raises(ServerFailed):
                next(answers)


def test_one_connection_serves_many_requests(behaviour):
    with rest_server(behaviour) as address, connect(address, "tiny") as client:
        for _ in range(20):
            client.predict([b"shoes"])
    assert len(behaviour.connections) == 1


def test_a_client_may_be_shared_by_threads(address):
    with connect(address, "tiny") as client, ThreadPoolExecutor(8) as pool:
        pictures = [str(number).encode() for number in range(160)]
        answers = list(pool.map(lambda picture: client.predict([picture])[0].label.encode(), pictures))
    assert answers == pictures


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ({}, "/v1/models/tiny:predict"),
        ({"version": 7}, "/v1/models/tiny/versions/7:predict"),
        ({"label": "can/ary"}, "/v1/models/tiny/labels/can%2Fary:predict"),
    ],
)
def test_version_label_gateway_path_and_headers_reach_the_server(where, path):
    seen: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            seen.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/gateway/"
        asked = connect(address, "tiny", headers={"Authorization": "Bearer x"}, **where)
        with asked as client, pytest.raises(NotFound):
            client.predict([b"shoes"])
        thread.join()
    assert f"POST /gateway{path} HTTP/1.1".encode() in seen[0]
    assert b"Authorization: Bearer x" in seen[0]


@pytest.mark.parametrize(
    "address",
    ["", "localhost", "localhost:8501", "ftp://a:1", "grpc://a:1/path", "http://", "http://a:x", "http://u@a"],
)
def test_an_address_of_no_use_is_refused_at_once(address):
    with pytest.raises(ValueError, match=r"(?i)address|port"):
        connect(address, "tiny")


@pytest.mark.parametrize(
    "make",
    [
        lambda: connect("http://a:1", ""),
        lambda: connect("http://a:1", "m", version=1, label="canary"),
        lambda: Timeouts(read=0),
        lambda: Retries(attempts=6),
        lambda: Retries(first=9),
        lambda: Batches(rows=0),
    ],
)
def test_options_of_no_use_are_refused_at_once(make):
    with pytest.raises(ValueError, match=r"give|ha(s|ve) to be"):
        make()


def test_folder_and_zip_give_the_same_pictures(tmp_path):
    folder = tmp_path / "shop"
    for name in ("b.jpg", "a/c.PNG", "a/d.webp", "styles.csv", ".hidden.jpg", "__MACOSX/e.jpg", ".git/f.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    archive = tmp_path / "shop.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*"):
            file.write(path, path.relative_to(folder))
    zipped = pictures_in(archive)
    assert {each.name: each.read() for each in zipped} == {
        f"{archive}/{name}": name.encode() for name in ("b.jpg", "a/c.PNG", "a/d.webp")
    }
    assert zipped.skipped == (f"{archive}/styles.csv",)
    (folder / "__MACOSX" / "e.jpg").unlink()
    found = pictures_in(folder)
    assert [each.name for each in found] == [f"{folder}/{name}" for name in ("b.jpg", "a/c.PNG", "a/d.webp")]
    assert found.skipped == (f"{folder}/styles.csv",)


def test_damaged_entry_of_a_zip_is_an_error_of_its_own(address, tmp_path):
    archive = tmp_path / "shop.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            file.writestr(name, f"picture {name}")
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"picture b.jpg", b"pictUre b.jpg"))
    with connect(address, "tiny") as client:
        first, second, third = client.predict_each(pictures_in(archive))
    assert (first.error, third.error) == (None, None)
    assert "Bad CRC-32" in (second.error or "")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.mkdir(), "nothing in it is a picture"),
        (lambda path: path.write_text("no zip"), "is no zip"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "nothing in it is a picture"),
    ],
)
def test_a_folder_or_zip_without_pictures_is_refused(tmp_path, make, said):
    make(tmp_path / "shop.zip")
    with pytest.raises(SourceError, match=said):
        pictures_in(tmp_path / "shop.zip")


def tensor(shape: list[int], **values: object) -> object:
    dims = {"dim": [{"size": size} for size in shape]}
    return wire.MESSAGES["TensorProto"](dtype=wire.FLOAT, tensor_shape=dims, **values)


@pytest.mark.parametrize(
    ("shape", "values", "expected"),
    [
        ([2], {"float_val": [1, 2]}, [1, 2]),
        ([3], {"float_val": [1, 2]}, [1, 2, 2]),  # the last value stands for the rest
        ([2], {}, [0, 0]),
        ([2], {"tensor_content": np.float32([1, 2]).tobytes()}, [1, 2]),
        ([2, 2], {"float_val": [1, 2, 3, 4]}, [[1, 2], [3, 4]]),
        ([2, 0], {}, [[], []]),
    ],
)
def test_tensors_are_read_however_they_are_packed(shape, values, expected):
    assert [list(row) if len(shape) > 1 else row for row in wire.rows(tensor(shape, **values))] == expected


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ([], {}),
        ([-1], {}),
        ([1, 1, 1], {}),
        ([2], {"tensor_content": b"123"}),
        ([1], {"float_val": [1, 2]}),
        ([1 << 40], {}),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(shape, values):
    with pytest.raises(ValueError, match="a tensor of"):
        wire.rows(tensor(shape, **values))


def test_import_is_light_and_either_protocol_needs_neither_tensorflow_nor_numpy():
    probe = """
import sys
import fashion_client
heavy = {"grpc", "urllib3", "google.protobuf", "PIL"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
once = fashion_client.Retries(attempts=1)
for scheme in ("http", "grpc"):
    try:
        with fashion_client.connect(f"{scheme}://127.0.0.1:9", "m", retries=once) as client:
            client.predict([b"x"])
    except fashion_client.Unavailable:
        pass
print(*{"numpy", "tensorflow", "tfx", "tensorflow_serving"} & set(sys.modules))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(fashion_client.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.slow
def test_messages_are_those_of_tensorflow_serving_and_live_beside_them():
    from google.protobuf import descriptor_pool
    from tensorflow.core.framework import tensor_pb2  # noqa: F401
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2  # noqa: F401

    pool = descriptor_pool.Default()
    homes = {"Int64Value": "google.protobuf.", "Any": "google.protobuf.", "Dim": "tensorflow.TensorShapeProto."}
    framework = ("TensorProto", "TensorShapeProto", "TensorInfo", "SignatureDef")
    homes.update(dict.fromkeys(framework, "tensorflow."))
    for message, fields in wire.FIELDS.items():
        if message.endswith("Entry"):
            continue
        name = (
            "tensorflow.TensorShapeProto.Dim"
            if message == "Dim"
            else homes.get(message, "tensorflow.serving.") + message
        )
        theirs = pool.FindMessageTypeByName(name)
        ours = wire.MESSAGES[message].DESCRIPTOR
        for field, _, _ in fields:
            mine, other = ours.fields_by_name[field], theirs.fields_by_name[field]
            same_type = mine.type == other.type or (mine.cpp_type, other.cpp_type) == (1, 8)  # an enum goes as an int
            assert (mine.number, mine.is_repeated, same_type) == (other.number, other.is_repeated, True), (name, field)
    request = wire.MESSAGES["PredictRequest"](
        model_spec={"name": "m", "version": {"value": 3}},
        inputs=[{"key": "image_bytes", "value": wire.strings([b"a", b"b"])}],
    )
    read = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    assert (read.model_spec.name, read.model_spec.version.value) == ("m", 3)
    assert list(read.inputs["image_bytes"].string_val) == [b"a", b"b"]
