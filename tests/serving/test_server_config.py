"""The configuration files of TensorFlow Serving, as the local server reads them: all of them, or a clear refusal."""

import grpc
import pytest

from serving.server.config import (
    Batching,
    check_on_disk,
    model_base,
    models_of,
    read_batching,
    read_model_config,
    single_model,
)
from serving.server.errors import ServingError, http_status
from serving.versions import find_versions


@pytest.fixture
def serving(tmp_path):
    """A serving folder with two models, and what else may lie there."""
    for folder in ("six_class/1", "six_class/2", "six_class/.staging-9", "sub/7", ".hidden/1", "notes"):
        (tmp_path / "serving" / folder).mkdir(parents=True)
    (tmp_path / "serving" / "models.config").write_text("")
    return tmp_path / "serving"


def write(tmp_path, text):
    path = tmp_path / "models.config"
    path.write_text(text)
    return path


def entry(serving, name="six_class", more=""):
    return (
        f'model_config_list {{\n config {{\n  name: "{name}" base_path: "{serving / name}" '
        f'model_platform: "tensorflow" {more}\n }}\n}}\n'
    )


def test_versions_are_the_numbered_folders(serving):
    for name in ("0012", "²", "-4", "v3", "9" * 19):
        (serving / "six_class" / name).mkdir()
    (serving / "six_class" / "5").write_text("a file")
    folders = {number: path.name for number, path in find_versions(serving / "six_class").items()}
    assert folders == {1: "1", 2: "2", 12: "0012"}


def test_every_folder_with_versions_is_a_model(serving):
    models = models_of(model_base(serving))
    assert {name: model.base_path for name, model in models.items()} == {
        "six_class": serving / "six_class",
        "sub": serving / "sub",
    }


def test_folder_of_one_model_is_served_under_its_name(serving):
    assert list(models_of(model_base(serving / "six_class"))) == ["six_class"]


def test_relative_folder_is_made_absolute(serving, monkeypatch):
    monkeypatch.chdir(serving.parent)
    (model,) = models_of(single_model("m", serving.relative_to(serving.parent) / "sub")).values()
    assert model.base_path == serving / "sub"


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        ("", [9]),
        ("model_version_policy { latest {} }", [9]),
        ("model_version_policy { latest { num_versions: 2 } }", [9, 5]),
        ("model_version_policy { latest { num_versions: 8 } }", [9, 5, 2]),
        ("model_version_policy { specific { versions: 2 versions: 9 versions: 44 } }", [9, 2]),
        ("model_version_policy { all {} }", [9, 5, 2]),
    ],
)
def test_policy_chooses_versions_newest_first(serving, tmp_path, policy, chosen):
    (model,) = models_of(read_model_config(write(tmp_path, entry(serving, more=policy)))).values()
    assert model.choose([2, 9, 5]) == chosen


def test_labels_are_read(serving, tmp_path):
    text = entry(serving, more='version_labels { key: "stable" value: 2 }')
    (model,) = models_of(read_model_config(write(tmp_path, text))).values()
    assert model.labels == {"stable": 2}


def test_label_of_a_version_that_is_gone_refuses_no_file(serving, tmp_path):
    text = entry(serving, more='version_labels { key: "old" value: 1 }')
    (model,) = models_of(read_model_config(write(tmp_path, text))).values()
    assert model.labels == {"old": 1}
    with pytest.raises(ServingError, match=r"to version 1 .* 'old' may point to 2$") as caught:
        check_on_disk({"six_class": model})  # as a reload does
    assert caught.value.code == grpc.StatusCode.FAILED_PRECONDITION


FAULTS = [
    (lambda s: entry(s, more="} " + entry(s)[21:-4]), grpc.StatusCode.INVALID_ARGUMENT, "six_class multiple times in"),
    (lambda s: entry(s).replace('"tensorflow"', '"torch"'), grpc.StatusCode.INVALID_ARGUMENT, "platform 'torch'"),
    (lambda s: entry(s).replace('model_platform: "tensorflow"', ""), grpc.StatusCode.INVALID_ARGUMENT, "platform ''"),
    (lambda s: entry(s).replace("base_path", "base_pt"), grpc.StatusCode.INVALID_ARGUMENT, "line 3: .*base_pt"),
    (lambda s: entry(s)[:-3], grpc.StatusCode.INVALID_ARGUMENT, "models.config, line "),
    (lambda s: entry(s).replace(str(s), "serving"), grpc.StatusCode.INVALID_ARGUMENT, "absolute path or URI; got"),
    (lambda s: entry(s, "nowhere"), grpc.StatusCode.NOT_FOUND, "Model nowhere: .*nowhere: No such file"),
    (lambda s: entry(s).replace('"six_class" b', '"a/b" b'), grpc.StatusCode.INVALID_ARGUMENT, "'a/b' cannot be a"),
    (lambda s: entry(s).replace('"six_class" b', '"" b'), grpc.StatusCode.INVALID_ARGUMENT, "'' cannot be a"),
    (lambda s: entry(s, more="model_version_policy { specific {} }"), grpc.StatusCode.INVALID_ARGUMENT, "at least one"),
    (lambda s: "custom_model_config {}", grpc.StatusCode.INVALID_ARGUMENT, "custom_model_config is not supported"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "message"), FAULTS)
def test_wrong_model_config_is_refused_by_name(serving, tmp_path, text, code, message):
    with pytest.raises(ServingError, match=message) as caught:
        read_model_config(write(tmp_path, text(serving)))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda tmp: read_model_config(tmp / "none"), "none: No such file"),
        (lambda tmp: read_batching(tmp / "none"), "none: No such file"),
        (lambda tmp: model_base(tmp / "none"), "none: No such file.* Give the folder"),
        (lambda tmp: single_model("m", tmp / "none"), "Model m: .*none: No such file"),
        (lambda tmp: model_base(tmp), "holds no model: a model is a folder with versions"),
    ],
)
def test_missing_path_is_named(tmp_path, fault, message):
    with pytest.raises(ServingError, match=message) as caught:
        fault(tmp_path)
    assert caught.value.code == grpc.StatusCode.NOT_FOUND


def test_binary_file_is_no_configuration(tmp_path):
    (tmp_path / "models.config").write_bytes(b"\xff\xfe")
    with pytest.raises(ServingError, match="is not a text file"):
        read_model_config(tmp_path / "models.config")


def test_batching_parameters_are_read_and_the_rest_has_defaults(tmp_path):
    path = write(
        tmp_path,
        "max_batch_size { value: 64 }  # rows\nbatch_timeout_micros { value: 0 }\nthread_pool_name { value: 'x' }\n"
        "allowed_batch_sizes: 8\nallowed_batch_sizes: 64\nnum_batch_threads { value: 2 }\n",
    )
    assert read_batching(path) == Batching(
        max_batch_size=64, batch_timeout_micros=0, allowed_batch_sizes=(8, 64), num_batch_threads=2
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size: 32", "line 1: 1:17"),
        ("\nmax_batch_sise { value: 32 }", 'line 2: .*"max_batch_sise"'),
        ("max_batch_size { value: 0 }", "max_batch_size is 0: it has to be at least 1"),
        ("max_enqueued_batches { value: -1 }", "max_enqueued_batches is -1"),
        ("num_batch_threads { value: 0 }", "num_batch_threads is 0"),
        ("batch_timeout_micros { value: -1 }", "cannot be negative"),
        ("allowed_batch_sizes: 8", r"\[8\] have to ascend, and to end with 32"),
        ("allowed_batch_sizes: 8 allowed_batch_sizes: 4 allowed_batch_sizes: 32", "have to ascend"),
        ("max_execution_batch_size { value: 8 }", "needs enable_large_batch_splitting"),
        ("enable_large_batch_splitting { value: true } max_execution_batch_size { value: 64 }", "between 1 and"),
        ("pad_variable_length_inputs: true", "pad_variable_length_inputs"),
    ],
)
def test_wrong_batching_parameters_are_refused_by_name(tmp_path, text, message):
    with pytest.raises(ServingError, match=message) as caught:
        read_batching(write(tmp_path, text))
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("code", "status"),
    [("OK", 200), ("NOT_FOUND", 404), ("FAILED_PRECONDITION", 400), ("RESOURCE_EXHAUSTED", 429), ("UNAVAILABLE", 503),
     ("DEADLINE_EXCEEDED", 504), ("UNIMPLEMENTED", 501), ("INTERNAL", 500), ("DATA_LOSS", 500), ("UNKNOWN", 500)],
)  # fmt: skip
def test_http_status_is_the_one_of_tensorflow_serving(code, status):
    assert http_status(grpc.StatusCode[code]) == status
