"""The log of answers: what is in it, what it may lose, and that it is never in the way of an answer."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.dataset
import pytest
from fashion_client import Timeouts, connect
from fashion_client.answer_log import SCHEMA, AnswerLog
from fashion_client.looks import looks
from fashion_client.pictures import Source
from PIL import Image, ImageDraw, ImageFilter

from serving.server.manager import ModelManager, Spec
from serving.server.metrics import Metrics
from tests.serving.fake_server import address as address
from tests.serving.fake_server import behaviour as behaviour
from tests.serving.fake_server import protocol as protocol
from tests.serving.managed_models import NAME, STILL, configured, run
from tests.serving.serving_model import write_model


def logged(folder):
    return pyarrow.dataset.dataset(folder, SCHEMA, format="parquet").to_table().sort_by("time").to_pylist()


def png(colour=(200, 40, 60)):
    stream = io.BytesIO()
    image = Image.linear_gradient("L").resize((60, 80))
    Image.merge("RGB", [image.point(lambda value, scale=scale: value * scale // 255) for scale in colour]).save(
        stream, "PNG"
    )
    return stream.getvalue()


def test_a_client_logs_who_answered_what_about_which_picture(address, tmp_path):
    log = AnswerLog(tmp_path)
    with connect(address, "tiny", log=log) as client:
        client.predict([Source("7", lambda: b"four", {"gender": "Men"}), b"bad"])
        client.embed([b"four"])
        log.close()
    good, bad = logged(tmp_path)
    assert (good["model"], good["version"], good["label"], good["confidence"]) == ("tiny", 3, "four", 0.75)
    assert (good["product"], good["slices"], bad["slices"]) == ("7", ["gender=Men"], [])
    assert (good["digest"], good["bytes"]) == (hashlib.sha256(b"four").hexdigest()[:32], 4)
    assert [each["label"] for each in good["top"]] == ["four", "other"]
    assert (bad["error"], good["error"]) == ("this is not a picture", None)
    assert good["picture"] is None
    assert 0 < good["latency_ms"] < 60_000
    assert (good["outside"], good["decision"]) == (-2.5, "accept")
    assert bad["decision"] is None


def test_a_client_logs_embeddings_of_a_model_that_gives_them_and_answers_as_ever(address, behaviour, tmp_path):
    behaviour.signatures.append("observe")
    log = AnswerLog(tmp_path)
    with connect(address, "tiny", log=log) as client:
        before = client.predict([b"four"])
        log.flush()
        after = client.predict([b"four", b"refuse", b"bad"])
        log.close()
    assert [signature for signature, _ in behaviour.asked[:2]] == ["serving_default", "observe"]
    assert ("serving_default", [b"refuse"]) in behaviour.asked  # it may be the model that was rolled back
    assert (after[0].label, after[0].top) == (before[0].label, before[0].top)
    assert [len(row["projection"] or ()) for row in logged(tmp_path)] == [0, 64, 0, 0]


def test_a_request_that_fails_is_logged_with_its_error(address, behaviour, tmp_path):
    behaviour.delay = 1.0
    log = AnswerLog(tmp_path)
    with (
        connect(address, "tiny", log=log, timeouts=Timeouts(total=0.2)) as client,
        pytest.raises(Exception, match=r"0\.2 s"),
    ):
        client.predict([b"four"])
    log.close()
    [row] = logged(tmp_path)
    assert "no answer within 0.2 s" in row["error"]


def test_the_server_logs_the_callers_ids_and_looks_and_pictures_if_asked(tmp_path):
    write_model(tmp_path / NAME / "1")
    log, metrics, red = AnswerLog(tmp_path / "log", pictures=True), Metrics(), png()

    async def scenario():
        manager = ModelManager(configured(tmp_path / NAME), STILL, metrics, log)
        await manager.start()
        spec = Spec(NAME, caller={"request": "r-1", "product": "7, 8", "slices": "gender=Women, =, season = Fall"})
        await manager.predict(spec, {"image_bytes": np.array([red, b"text"], object)}, ["label"])
        await manager.stop()

    run(scenario)
    log.close()
    good, bad = logged(tmp_path / "log")
    assert (good["request"], good["product"], bad["product"], good["version"]) == ("r-1", "7", "8", 1)
    assert good["slices"] == bad["slices"] == ["gender=Women", "season=Fall"]
    assert (good["width"], good["height"], good["format"]) == (60, 80, "PNG")
    assert len(good["projection"]) == 64
    assert good["warmth"] > 0.5
    assert good["picture"] == red
    assert (bad["label"], bad["projection"]) == (None, None)
    assert bad["error"]
    text = metrics.exposition().decode()
    assert f'fashion_answers_total{{decision="",label="{good["label"]}",model_name="{NAME}"}} 1.0' in text
    assert f'fashion_answer_confidence_count{{model_name="{NAME}"}} 1.0' in text
    assert 'fashion_answer_log_rows{outcome="written"} 2.0' in text


def test_what_finds_no_room_is_dropped_and_counted_at_once(tmp_path):
    held = threading.Event()
    log = AnswerLog(tmp_path, waiting=3)
    log.offer({"about": lambda: held.wait(30) and {}})
    while log._queue.qsize():
        time.sleep(0.01)
    for number in range(10):
        log.offer({"label": str(number)})
    assert log.dropped == 7
    held.set()
    log.close()
    assert [row["label"] for row in logged(tmp_path)] == [None, "0", "1", "2"]
    assert log.written == 4


def test_pictures_that_wait_are_bounded_by_their_bytes(tmp_path):
    held, picture = threading.Event(), bytes(20 << 20)
    log = AnswerLog(tmp_path)
    log.offer({"about": lambda: held.wait(30) and {}})
    for _ in range(5):
        log.offer({"picture": picture})
    assert log.dropped == 2
    held.set()
    log.close()
    assert log.written == 4


def test_a_folder_that_cannot_be_written_fails_nothing_and_is_tried_again(tmp_path, caplog):
    folder = tmp_path / "log"
    folder.write_text("a file, where root too can make no folder")
    log = AnswerLog(folder)
    for _ in range(3):
        log.offer({"label": "shoes"})
        assert log.flush()
    assert (log.written, log.failed, log.dropped) == (0, 3, 0)
    assert len([record for record in caplog.records if "are not logged" in record.message]) == 1
    folder.unlink()
    log.offer({"label": "shoes"})
    log.close()
    assert [row["label"] for row in logged(folder)] == ["shoes"]


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    log = AnswerLog(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    log.offer({"label": "shoes"})
    log.close()
    assert log.failed == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_killed_process_loses_no_more_than_its_last_file(tmp_path):
    program = (
        "import sys, time\nfrom fashion_client.answer_log import AnswerLog\n"
        "log = AnswerLog(sys.argv[1], rows=10)\n"
        "for n in range(25): log.offer({'label': str(n)})\n"
        "print('offered', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"offered\n"
    while len(list(tmp_path.rglob("answers-*.parquet"))) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert sorted(int(row["label"]) for row in logged(tmp_path)) == list(range(20))


def test_days_beyond_their_time_are_deleted_and_nothing_else(tmp_path):
    today = datetime.now(UTC).date()
    for name in (f"day={today - timedelta(days=2)}", f"day={today - timedelta(days=1)}", "day=mine", "notes"):
        (tmp_path / name).mkdir()
    log = AnswerLog(tmp_path, keep_days=2)
    log.offer({"label": "shoes"})
    log.close()
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {f"day={today}", f"day={today - timedelta(days=1)}", "day=mine", "notes"}


def test_slices_of_too_many_values_or_columns_become_one(tmp_path):
    log = AnswerLog(tmp_path)
    for number in range(30):
        log.offer({"slices": {"customer": str(number), f"column{number % 6}": "x"}})
    log.close()
    slices = {each for row in logged(tmp_path) for each in row["slices"]}
    assert slices == {"customer=other", "other=other", *(f"customer={n}" for n in range(20)),
                      *(f"column{n}=x" for n in range(3))}  # fmt: skip


def test_a_tenth_is_logged_and_says_so(tmp_path):
    log = AnswerLog(tmp_path, 0.1)
    drawn_of = sum(len(log.draw(100)) for _ in range(100))
    assert 800 < drawn_of < 1200
    log.offer({})
    log.close()
    assert logged(tmp_path)[0]["sample"] == pytest.approx(0.1)


def test_looks_tell_dark_blurred_and_exchanged_colours_apart():
    shirt = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(shirt).polygon([(5, 20), (30, 10), (55, 20), (45, 70), (15, 70)], fill=(180, 60, 30))

    def changed(change):
        stream = io.BytesIO()
        change(shirt).save(stream, "PNG")
        return looks(stream.getvalue())

    plain, dark = changed(lambda image: image), changed(lambda image: image.point(lambda value: value // 2))
    blurred = changed(lambda image: image.filter(ImageFilter.GaussianBlur(2)))
    exchanged = changed(lambda image: Image.merge("RGB", image.split()[::-1]))
    assert dark["brightness"] == pytest.approx(plain["brightness"] / 2, abs=0.01)
    assert dark["sharpness"] == pytest.approx(plain["sharpness"], rel=0.1)
    assert blurred["sharpness"] < 0.8 * plain["sharpness"]
    assert exchanged["warmth"] == pytest.approx(-plain["warmth"], abs=0.01)
    assert looks(b"text") == {}
