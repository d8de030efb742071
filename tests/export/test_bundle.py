"""A copy of a model answers without TensorFlow, and one that is wrong anywhere is found out by its golden pictures."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from click.testing import CliRunner
from fashion_client import Thresholds
from fashion_client.golden import find_faults
from fashion_client.local import BundleError, local
from PIL import Image, ImageOps

from components.export.golden import COUNT, draw_pictures
from pipeline.cli import main
from tests.export.drawn import ALLOWED, DECIDE, LABELS, SIZE, TAGS, answer, results, right_road, write_drawn


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("bundles") / "bundle")


def opened(data: bytes, turn: bool = True) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image = ImageOps.exif_transpose(image) if turn else image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")


def squashed(image: Image.Image, size: int = SIZE) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BILINEAR)


def without_antialias(data: bytes) -> Image.Image:
    image = opened(data)
    steps = (image.width / SIZE, 0, 0, 0, image.height / SIZE, 0)
    return image.transform((SIZE, SIZE), Image.Transform.AFFINE, steps, Image.Resampling.BILINEAR)


# How an app, or whoever exports, may come to other pixels.
WRONG_ROADS = {
    "blue before red": lambda data: right_road(data)[..., ::-1],
    "no antialias": without_antialias,
    "another size": lambda data: squashed(squashed(opened(data), SIZE // 2)),
    "not turned": lambda data: squashed(opened(data, turn=False)),
}


def golden_of(bundle: Path) -> dict:
    return json.loads((bundle / "golden.json").read_text())


def test_the_right_road_and_the_right_file_pass(bundle):
    assert find_faults(golden_of(bundle), results(bundle, right_road)) == []
    assert local(bundle).check() == []


@pytest.mark.parametrize("road", WRONG_ROADS.values(), ids=WRONG_ROADS)
def test_a_wrong_road_to_the_pixels_is_found_out_by_the_embedding(bundle, road):
    faults = find_faults(golden_of(bundle), results(bundle, road))
    assert any("the embedding's cosine to the model's is" in fault for fault in faults)


def test_labels_in_another_order_are_found_out(bundle):
    swapped = (LABELS[1], LABELS[0], *LABELS[2:])
    faults = find_faults(golden_of(bundle), results(bundle, right_road, swapped))
    assert any("is the order of the labels another?" in fault for fault in faults)


@pytest.mark.parametrize("road", WRONG_ROADS.values(), ids=WRONG_ROADS)
def test_an_export_made_by_another_road_is_refused_by_its_golden_pictures(tmp_path, road):
    wrong = write_drawn(tmp_path / "wrong", road=road)
    assert any("the embedding's cosine to the model's is" in fault for fault in local(wrong).check())


def test_an_export_whose_labels_are_swapped_is_refused_by_its_golden_pictures(tmp_path):
    (write_drawn(tmp_path / "wrong") / "labels.txt").write_text("\n".join((LABELS[1], LABELS[0], *LABELS[2:], "")))
    assert any("is the order of the labels another?" in fault for fault in local(tmp_path / "wrong").check())


def test_a_file_that_takes_blue_before_red_is_refused_in_a_process_without_tensorflow(tmp_path):
    wrong = write_drawn(tmp_path / "wrong", channels=(2, 1, 0))
    checked = subprocess.run(
        [sys.executable, "-m", "fashion_client.local", str(wrong)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 1
    assert "00.jpg: the embedding's cosine to the model's is" in checked.stderr
    assert "TensorFlow was imported" not in checked.stderr


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "there is no '00.jpg'"),
        ({"00.jpg": {"label": "hats"}}, "there is no 'embedding'"),
        ({"00.jpg": {"embedding": [1.0], "probabilities": {}, "label": ""}}, "the embedding has 1 numbers"),
        ({"00.jpg": 3}, "is not of the form of golden.json"),
    ],
)
def test_answers_that_are_missing_or_of_another_form_are_named(bundle, answers, said):
    faults = find_faults(golden_of(bundle), answers)
    assert len(faults) == COUNT
    assert said in faults[0]


def test_the_command_verifies_what_any_runtime_has_written(bundle, tmp_path):
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results(bundle, right_road)))
    done = CliRunner().invoke(main, ["export", "verify", str(file), "--bundle", str(bundle)])
    assert (done.exit_code, done.output) == (0, "16 of 16 golden pictures are answered as by the model\n")
    file.write_text(json.dumps(results(bundle, WRONG_ROADS["blue before red"])))
    done = CliRunner().invoke(main, ["export", "verify", str(file), "--bundle", str(bundle)])
    assert done.exit_code == 13
    assert "01.jpg: the embedding's cosine" in done.output


def test_golden_pictures_are_the_same_each_time_and_of_all_kinds():
    pictures = draw_pictures()
    assert pictures == draw_pictures()
    assert len(pictures) == COUNT
    opened = [Image.open(io.BytesIO(data)) for data in pictures.values()]
    assert {image.format for image in opened} == {"JPEG", "PNG"}
    assert {image.mode for image in opened} == {"L", "RGB", "RGBA"}
    assert any(image.getexif() for image in opened)


def test_a_bundle_answers_as_other_clients_do(bundle, tmp_path):
    [data, *_] = draw_pictures().values()
    (tmp_path / "shoe.jpg").write_bytes(data)
    webp = io.BytesIO()
    Image.open(io.BytesIO(data)).save(webp, "WEBP", lossless=True)
    with local(bundle) as client:
        file, none, other = client.predict([tmp_path / "shoe.jpg", b"no picture", webp.getvalue()])
        embeddings = client.embed([data])
        assert (client.metadata().model, client.status()[0].version) == ("drawn", 7)
    scores = answer(right_road(data)[np.newaxis])["probabilities"][0]
    assert file.source == str(tmp_path / "shoe.jpg")
    assert file.label == LABELS[scores.argmax()] == other.label
    assert [score for _, score in file.top] == pytest.approx(sorted(scores.tolist(), reverse=True), abs=1e-5)
    assert none.error == "this is not a picture in a known format: send JPEG or PNG"
    assert np.linalg.norm(embeddings[0].vector) == pytest.approx(1)


def test_a_bundle_decides_by_the_model_s_own_thresholds(bundle):
    pictures = list(draw_pictures().values())
    scores = answer(np.stack([right_road(data) for data in pictures]))
    thresholds = Thresholds(DECIDE["outside"], DECIDE["clear"], DECIDE["confidence"])
    [failed, *found] = local(bundle).predict([b"", *pictures])
    assert (failed.decision, failed.label_set) == ("", ())
    for own, outside, probabilities in zip(found, scores["outside"][:, 0], scores["probabilities"], strict=True):
        assert own.outside == pytest.approx(outside, abs=1e-3)
        assert own.decision == thresholds.decide(float(outside), own.confidence)
        order = [place for place in np.argsort(-probabilities) if probabilities[place] >= DECIDE["sets"][place]]
        assert own.label_set[0] == own.label
        assert own.label_set == tuple(LABELS[place] for place in order) or len(own.label_set) == 1
    assert {own.decision for own in found} == {"accept", "unsure", "outside"}


def test_a_bundle_answers_in_further_columns_what_goes_with_the_label(bundle):
    pictures = list(draw_pictures().values())
    scores = answer(np.stack([right_road(data) for data in pictures]))
    for own, colours, foreign in zip(
        local(bundle).predict(pictures), scores["colour_probabilities"], scores["outside"][:, 0], strict=True
    ):
        possible = colours * np.array(ALLOWED[LABELS.index(own.label)])
        tag = own.tags["colour"]
        assert tag.label == TAGS[0]["labels"][possible.argmax()]
        assert tag.confidence == pytest.approx(possible.max(), abs=1e-5)
        assert tag.decision == Thresholds(DECIDE["outside"], DECIDE["clear"], 0.6).decide(foreign, tag.confidence)


def test_a_bundle_that_is_not_whole_or_goes_another_road_is_refused(bundle, tmp_path):
    with pytest.raises(BundleError, match=r"bundle.json'\. Give a folder that `fashion export` has written"):
        local(tmp_path)
    other = shutil.copytree(bundle, tmp_path / "other")
    road = json.loads((other / "preprocess.json").read_text())
    (other / "preprocess.json").write_text(json.dumps(road | {"colours": "BGR"}))
    with pytest.raises(BundleError, match=r"preprocess.json has another colours than this client's: BGR"):
        local(other)
    (bundle_file := other / "model.onnx").write_bytes(bundle_file.read_bytes()[:1000])
    (other / "preprocess.json").write_text(json.dumps(road))
    with pytest.raises(BundleError, match=r"model\.onnx is not the file that bundle.json describes"):
        local(other)


def test_openvino_s_files_answer_likewise_and_belong_together(bundle, tmp_path):
    other = write_drawn(tmp_path / "bundle", form="openvino")
    with local(other) as client:
        assert client.check() == []
    network = openvino.Core().read_model(other / "model.xml")
    assert network.get_rt_info(["model_info", "labels"]).astype(str).split() == list(LABELS)
    (other / "model.bin").write_bytes((other / "model.bin").read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"model\.xml is not the file that bundle.json describes"):
        local(other)


def test_class_names_lie_in_the_file_itself(bundle, tmp_path):
    about = {each.key: each.value for each in onnx.load(str(bundle / "model.onnx")).metadata_props}
    assert about["labels"].splitlines() == list(LABELS) == (bundle / "labels.txt").read_text().splitlines()
