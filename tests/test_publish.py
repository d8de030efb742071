"""Publishing: a version is seen whole or not at all, once only, and only if it answers as clients are promised."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.errors import PublishError
from components.publish import store as module
from components.publish.store import latest, model_digest, publish, read_extras, versions
from serving.releases import CONFIG

HOUSE = Path(__file__).parents[1]
LABELS = ("topwear", "underwear", "jewelry", "fragrances", "shoes", "eyewear")
LABELS_TXT = "".join(f"{label}\n" for label in LABELS)


def accept(model_dir: Path) -> None:
    """A verification that finds nothing wrong."""


@pytest.fixture
def model(tmp_path):
    """Makes files that lie like a SavedModel; another seed makes another model."""

    def make(seed=0):
        folder = tmp_path / f"model-{seed}"
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"graph %d" % seed)
        (folder / "variables" / "variables.index").write_bytes(b"weights %d" % seed)
        return folder

    return make


@pytest.fixture
def serving(tmp_path):
    return tmp_path / "serving" / "six_class"


def put(model_dir, store, verify=accept, keep=5, **more):
    return publish(model_dir, store, model_digest(model_dir), {"labels.txt": LABELS_TXT}, verify, keep, **more)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def hidden(store):
    return sorted(path.name for path in store.iterdir() if not path.name.isdecimal() and path.name != ".lock")


def test_published_version_is_the_model_with_its_extras(model, serving):
    model_dir = model()
    before = int(time.time())
    published = put(model_dir, serving, provenance={"code": "abc"})
    copied = contents(published.path)
    extras = read_extras(published.path)
    assert published.path == serving / str(published.version)
    assert before <= published.version == latest(serving)
    assert {name: copied[name] for name in contents(model_dir)} == contents(model_dir)
    assert extras["labels.txt"].decode() == LABELS_TXT
    assert model_digest(model_dir).encode() in extras["provenance.json"]
    assert b'"code": "abc"' in extras["provenance.json"]
    assert hidden(serving) == []


def test_other_users_can_read_a_version(model, serving):
    model_dir = model()
    model_dir.chmod(0o700)
    before = os.umask(0o022)
    try:
        path = put(model_dir, serving).path
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o055 == 0o055
    assert (path / "saved_model.pb").stat().st_mode & 0o044 == 0o044


def test_half_copied_version_is_never_visible(model, serving, monkeypatch):
    models = [model(seed) for seed in range(3)]
    expected = {*contents(models[0]), "assets.extra/labels.txt", "assets.extra/provenance.json"}
    copy, done, looks, torn = shutil.copyfile, threading.Event(), [], []
    monkeypatch.setattr(shutil, "copyfile", lambda *paths: (time.sleep(0.02), copy(*paths)))

    def watch():
        while not done.is_set():
            seen = versions(serving)
            looks.append(len(seen))
            torn.extend(path for path in seen.values() if set(contents(path)) != expected)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for model_dir in models:
            put(model_dir, serving, verify=lambda staged: time.sleep(0.02))
    finally:
        done.set()
        watcher.join()
    assert torn == []
    assert set(looks) >= {0, 1, 2}


def test_version_is_verified_whole_and_before_it_is_visible(model, serving):
    seen = []
    put(model(), serving, verify=lambda staged: seen.append((versions(serving), set(contents(staged)))))
    names = {"saved_model.pb", "variables/variables.index", "assets.extra/labels.txt", "assets.extra/provenance.json"}
    assert seen == [({}, names)]


def test_refused_model_leaves_nothing_behind(model, serving):
    first = put(model(0), serving)

    def refuse(staged):
        raise PublishError("it does not answer")

    with pytest.raises(PublishError, match="it does not answer"):
        put(model(1), serving, verify=refuse)
    assert list(versions(serving)) == [first.version]
    assert hidden(serving) == []


def test_same_model_is_published_once(model, serving):
    model_dir = model()
    first = put(model_dir, serving)
    before = contents(serving)
    again = put(model_dir, serving, verify=lambda staged: pytest.fail("verified again"))
    assert (again.version, again.path, again.already, again.removed) == (first.version, first.path, True, ())
    assert contents(serving) == before


def test_same_model_is_found_behind_a_newer_one(model, serving):
    first = put(model(0), serving)
    second = put(model(1), serving)
    assert put(serving.parents[1] / "model-0", serving).version == first.version
    assert latest(serving) == second.version


def test_versions_rise_whatever_the_clock_says(model, serving, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_000.9)
    assert [put(model(seed), serving).version for seed in range(3)] == [1000, 1001, 1002]
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert put(model(3), serving).version == 1003


def test_versions_are_what_a_server_takes_for_them(serving):
    for name in ("7", "0012", "²", ".staging-9", "v3", "-4", "9" * 19, "tmp"):
        (serving / name).mkdir(parents=True)
    (serving / "99").write_text("a file")
    assert versions(serving) == {7: serving / "7", 12: serving / "0012"}
    assert versions(serving / "nowhere") == {}
    assert latest(serving / "nowhere") is None


@pytest.mark.parametrize(
    ("keep", "labelled", "left", "removed"),
    [
        (5, (), (10, 11, 12, 13), ()),
        (2, (), (12, 13), (10, 11)),
        (2, (10,), (10, 12, 13), (11,)),
        (1, (10, 12), (10, 12, 13), (11,)),
        (0, (), (13,), (10, 11, 12)),
    ],
)
def test_newest_and_labelled_versions_are_kept(model, serving, monkeypatch, keep, labelled, left, removed):
    monkeypatch.setattr(time, "time", lambda: 10.0)
    for seed in range(3):
        put(model(seed), serving)
    labels = "".join(f'version_labels {{ key: "l{version}" value: {version} }} ' for version in labelled)
    entry = f'config {{ name: "m" base_path: "{serving}" model_platform: "tensorflow" {labels} }}'
    (serving.parent / CONFIG).write_text(f"model_config_list {{ {entry} }}")
    assert put(model(3), serving, keep=keep).removed == removed
    assert tuple(versions(serving)) == left
    assert hidden(serving) == []


def test_no_version_is_removed_while_nobody_can_tell_which_are_labelled(model, serving):
    for seed in range(3):
        put(model(seed), serving)
    (serving.parent / CONFIG).write_text("model_config_list {")
    assert put(model(3), serving, keep=1).removed == ()
    assert len(versions(serving)) == 4


def test_version_is_out_of_sight_before_it_is_deleted(model, serving, monkeypatch):
    put(model(0), serving)
    deleted, rmtree = [], shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **more: (deleted.append(path), rmtree(path, **more)))
    put(model(1), serving, keep=1)
    assert any(path.name.startswith(".removed-") for path in deleted)
    assert not any(path.name.isdecimal() for path in deleted)


def test_version_that_cannot_be_removed_does_not_stop_the_new_one(model, serving, monkeypatch, caplog):
    old = put(model(0), serving).version
    rename = os.rename

    def refuse_removal(source, target):
        if ".removed-" in str(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse_removal)
    published = put(model(1), serving, keep=1)
    assert published.removed == ()
    assert list(versions(serving)) == [old, published.version]
    assert f"version {old} is to be removed" in caplog.text


def full_disk(*paths):
    raise OSError(errno.ENOSPC, "No space left on device", str(paths[1]))


def other_device(*paths):
    raise OSError(errno.EXDEV, "Invalid cross-device link", str(paths[0]))


def read_only(*paths, **more):
    raise OSError(errno.EROFS, "Read-only file system", str(paths[0]))


@pytest.mark.parametrize(
    ("owner", "name", "fault", "answer"),
    [
        (shutil, "copyfile", full_disk, r"saved_model.pb: No space left on device. Free some space"),
        (os, "rename", other_device, r"Invalid cross-device link. Put the whole serving folder .* on one file system"),
        (os, "mkdir", read_only, r"Read-only file system. Give this user the right to write there"),
        (os, "fsync", read_only, r"Read-only file system. Give this user"),
    ],
)
def test_fault_of_the_file_system_leaves_nothing_half_made(model, serving, monkeypatch, owner, name, fault, answer):
    first = put(model(0), serving)
    model_dir = model(1)
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, fault)
        with pytest.raises(PublishError, match=f"{answer}.*Version {first.version} serves"):
            put(model_dir, serving)
    assert list(versions(serving)) == [first.version]
    assert hidden(serving) == []
    assert put(model_dir, serving).version == latest(serving) > first.version


@pytest.mark.parametrize("below", ["", "six_class"])
def test_file_in_the_way_is_named(model, tmp_path, below):
    (tmp_path / "serving").write_text("a file")
    with pytest.raises(PublishError, match=r"serving.*Move the file that is in the way.*Nothing was published"):
        put(model(), tmp_path / "serving" / below)


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(PublishError, match=r"is not a SavedModel: it has no saved_model\.pb"):
        model_digest(tmp_path)


def test_model_changed_since_its_approval_is_refused(model, serving):
    model_dir = model()
    approved = model_digest(model_dir)
    (model_dir / "variables" / "variables.index").write_bytes(b"other weights")
    with pytest.raises(PublishError, match="is not the model that was approved"):
        publish(model_dir, serving, approved, {}, accept, 5)
    assert versions(serving) == {}
    assert hidden(serving) == []


@pytest.mark.parametrize("change", ["content", "name", "more"])
def test_digest_tells_models_apart(model, change):
    model_dir = model()
    before = model_digest(model_dir)
    index = model_dir / "variables" / "variables.index"
    if change == "content":
        index.write_bytes(b"weights 1")
    elif change == "name":
        index.rename(index.with_name("other.index"))
    else:
        (model_dir / "assets").mkdir()
        (model_dir / "assets" / "vocabulary").write_bytes(b"")
    assert model_digest(model_dir) != before


def test_digest_does_not_depend_on_the_place(model, tmp_path):
    model_dir = model()
    assert model_digest(Path(shutil.copytree(model_dir, tmp_path / "elsewhere"))) == model_digest(model_dir)


def test_publishers_wait_for_one_another(model, serving):
    models = [model(seed) for seed in (0, 1, 2, 3)]
    inside, most = [], []

    def verify(staged):
        inside.append(staged)
        most.append(len(inside))
        time.sleep(0.05)
        inside.remove(staged)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda model_dir: put(model_dir, serving, verify), models * 2))
    assert most == [1, 1, 1, 1]
    assert sum(not result.already for result in results) == 4
    assert {result.version for result in results} == set(versions(serving))


def test_killed_publisher_leaves_the_way_free(model, serving):
    model_dir = model()
    script = (
        "import sys, time; from pathlib import Path; from components.publish.store import model_digest, publish;"
        "model, store = map(Path, sys.argv[1:]);"
        "verify = lambda staged: (print('staged', flush=True), time.sleep(60));"
        "publish(model, store, model_digest(model), {}, verify, 5)"
    )
    command = [sys.executable, "-c", script, str(model_dir), str(serving)]
    with subprocess.Popen(command, cwd=HOUSE, stdout=subprocess.PIPE, text=True) as publisher:
        assert publisher.stdout is not None
        assert publisher.stdout.readline() == "staged\n"
        publisher.send_signal(signal.SIGKILL)
    assert versions(serving) == {}
    assert hidden(serving) == [f"{module._STAGING}{publisher.pid}"]
    published = put(model_dir, serving)
    assert not published.already
    assert list(versions(serving)) == [published.version]
    assert hidden(serving) == []


def save_toy(folder, broken="", tweak=lambda tf, outputs: {}, takes="", rows=None, left_out=""):
    """Saves a small model that keeps the contract, but for what is changed of the signature `broken`."""
    import tensorflow as tf

    def whole(picture):
        """Whether a picture has both ends of a JPEG or a PNG."""
        padded = tf.strings.join(["....", picture, "...."])
        ends = tf.strings.substr(padded, 4, 2) + tf.strings.substr(tf.strings.join(["....", picture]), -2, 2)
        return (ends == b"\xff\xd8\xff\xd9") | (ends == b"\x89P\x60\x82")

    def infer(pictures):
        fine = whole(pictures)
        seeds = [tf.strings.to_hash_bucket_fast(pictures + label, 1000) for label in LABELS]
        probabilities = tf.nn.softmax(tf.cast(tf.stack(seeds, axis=1), tf.float32) / 100)
        kept = probabilities * tf.cast(fine, tf.float32)[:, tf.newaxis]
        return kept, tf.where(fine, "", "not a picture")

    def answer(pictures):
        probabilities, error = infer(pictures)
        scores, indices = tf.math.top_k(probabilities, k=5)
        names = tf.where((error == "")[:, tf.newaxis], tf.gather(tf.constant(LABELS), indices), "")
        best = {"label": names[:, 0], "confidence": scores[:, 0], "probabilities": probabilities}
        return best | {"top_labels": names, "top_scores": scores, "error": error}

    def examples(serialized):
        spec = {"image_bytes": tf.io.FixedLenFeature([], tf.string, default_value="")}
        return answer(tf.io.parse_example(serialized, spec)["image_bytes"])

    def embed(pictures):
        probabilities, error = infer(pictures)
        return {"embedding": tf.math.l2_normalize(probabilities, axis=1), "error": error}

    def signature(name, function, argument):
        changed = name == broken
        spec = tf.TensorSpec([rows if changed else None], tf.string, name=(changed and takes) or argument)

        def asked(fed):
            outputs = function(fed)
            outputs |= tweak(tf, outputs) if changed else {}
            return {key: value for key, value in outputs.items() if value is not None}

        return tf.function(asked, input_signature=[spec])

    signatures = {
        "serving_default": signature("serving_default", answer, "image_bytes"),
        "examples": signature("examples", examples, "examples"),
        "embed": signature("embed", embed, "image_bytes"),
    }
    signatures.pop(left_out, None)
    module = tf.Module()
    module.signatures_kept = signatures
    tf.saved_model.save(module, str(folder), signatures=signatures)
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra" / "labels.txt").write_text(LABELS_TXT)
    return folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    return save_toy(tmp_path_factory.mktemp("toy") / "model")


def guarded(tf, outputs, condition):
    with tf.control_dependencies([tf.debugging.Assert(condition, ["cannot do this"])]):
        return {"error": tf.identity(outputs["error"])}


def flatter(tf, outputs):
    names = ("probabilities", "confidence", "top_scores")
    return {name: (outputs[name] + tf.sign(outputs[name]) / len(LABELS)) / 2 for name in names}


BREACHES = [
    ("serving_default", lambda tf, a: {"error": None}, "serving_default: gives no error"),
    ("serving_default", lambda tf, a: {"confidence": a["label"]}, "confidence is string (None,); it has to be float32"),
    ("serving_default", lambda tf, a: {"label": a["top_labels"]}, "label is string (None, 5); it has to be string of"),
    ("serving_default", lambda tf, a: {"probabilities": a["top_scores"]}, "has shape [1, 5]; it has to be [1, 6]"),
    ("serving_default", lambda tf, a: {"top_labels": a["top_labels"][:, :3]}, "has shape [1, 3]; it has to be [1, 5]"),
    ("examples", lambda tf, a: {"probabilities": a["probabilities"] * float("nan")}, "probabilities is not finite"),
    ("serving_default", lambda tf, a: {"probabilities": a["probabilities"] * 2}, "probabilities sum to 2.0000"),
    ("serving_default", lambda tf, a: {"probabilities": a["probabilities"] - 1}, "a probability is negative"),
    ("serving_default", lambda tf, a: {"confidence": a["confidence"] / 2}, "confidence is not the highest"),
    ("serving_default", lambda tf, a: {"label": a["top_labels"][:, 2]}, "which is not the most probable class"),
    ("serving_default", lambda tf, a: {"label": a["label"] + "s"}, "s' is not in assets.extra/labels.txt"),
    ("serving_default", lambda tf, a: {"top_scores": a["top_scores"][:, ::-1]}, "top_scores are not the highest"),
    ("serving_default", lambda tf, a: {"top_labels": a["top_labels"][:, ::-1]}, "top_labels do not belong to"),
    ("serving_default", lambda tf, a: {"top_labels": tf.repeat(a["top_labels"][:, :1], 5, axis=1)}, "repeat a class"),
    ("serving_default", lambda tf, a: {"label": a["label"] + a["error"]}, "has the label 'not a picture' beside"),
    ("serving_default", lambda tf, a: {"confidence": a["confidence"] + tf.cast(a["error"] != "", tf.float32)},
     "an empty string: has confidence beside its error"),
    ("serving_default", lambda tf, a: {"error": tf.zeros_like(a["error"])}, "an empty string is taken for a picture"),
    ("serving_default", lambda tf, a: {"error": a["error"] + "blurred"}, "picture 0 is refused: blurred"),
    ("serving_default", lambda tf, a: guarded(tf, a, tf.reduce_all(a["error"] == "")), "fails on a batch of 7"),
    ("examples", lambda tf, a: guarded(tf, a, tf.size(a["error"]) > 0), "examples: fails on a batch of 0"),
    ("examples", flatter, "examples: picture 0 is answered otherwise than by serving_default"),
    ("embed", lambda tf, a: {"embedding": a["embedding"] * 3}, "embed: picture 0: the embedding has norm 3.0000"),
    ("embed", lambda tf, a: {"embedding": tf.math.l2_normalize(a["embedding"] + tf.reduce_mean(a["embedding"], 0), 1)},
     "embed: picture 0 is answered otherwise beside bad pictures than alone"),
]  # fmt: skip


def breach_of(model_dir, pictures=()):
    from serving.verify import ContractBroken, drawn_pictures, verify

    with pytest.raises(ContractBroken) as caught:
        verify(model_dir, [*drawn_pictures(), *pictures])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(("signature", "tweak", "answer"), BREACHES)
def test_wrong_answer_is_refused_by_name(tmp_path, signature, tweak, answer):
    assert answer in breach_of(save_toy(tmp_path / "toy", signature, tweak))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ({"left_out": "embed"}, "embed: there is no such signature"),
        ({"broken": "serving_default", "takes": "images"}, "takes images; it has to take image_bytes alone"),
        ({"broken": "examples", "rows": 4}, "examples is string (4,); it has to be string [None]"),
    ],
)
def test_wrong_signature_is_refused_by_name(tmp_path, fault, answer):
    assert answer in breach_of(save_toy(tmp_path / "toy", **fault))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("saved_model.pb", None, "cannot be loaded"),
        ("saved_model.pb", b"not a graph", "cannot be loaded"),
        ("variables/variables.index", None, "cannot be loaded"),
        ("assets.extra/labels.txt", None, "labels.txt cannot be read"),
        ("assets.extra/labels.txt", b"\xff\n", "labels.txt cannot be read"),
        ("assets.extra/labels.txt", b"", "distinct class names"),
        ("assets.extra/labels.txt", b"shoes\nshoes\n", "distinct class names"),
        ("assets.extra/labels.txt", LABELS_TXT.encode() + b"hats\n", "has shape [1, 6]; it has to be [1, 7]"),
    ],
)
def test_damaged_file_is_refused_by_name(toy, tmp_path, name, content, answer):
    damaged = Path(shutil.copytree(toy, tmp_path / "toy"))
    (damaged / name).unlink()
    if content is not None:
        (damaged / name).write_bytes(content)
    assert answer in breach_of(damaged)


@pytest.mark.slow
def test_model_is_asked_about_the_pictures_given(toy):
    assert "picture 3 is refused: not a picture" in breach_of(toy, [b"a word"])


def verify_command(*arguments):
    command = [sys.executable, "-m", "serving.verify", *map(str, arguments)]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(command, cwd=HOUSE, env=quiet, capture_output=True, text=True)


@pytest.mark.slow
def test_verify_command_says_yes_or_why_not(toy, tmp_path):
    good = verify_command(toy)
    assert (good.returncode, good.stdout) == (0, f"{toy}: answers as promised, 6 classes\n"), good.stderr
    picture = tmp_path / "word.jpg"
    picture.write_bytes(b"a word")
    bad = verify_command(toy, "--pictures", picture)
    assert bad.returncode == 1
    assert bad.stderr.splitlines()[-1] == f"{toy}: serving_default: picture 3 is refused: not a picture"


@pytest.fixture
def run_component(tmp_path, monkeypatch):
    """Runs the component as an orchestrator does, on a model that stands for the trainer's."""
    from tfx.types import standard_artifacts

    from components.publish.component import Publisher

    verdict = types.ModuleType("components.evaluate.verdict")
    verdict.read_verdict = lambda folder, blessed, classes, gate: types.SimpleNamespace(
        as_json=lambda: {"asked": [folder, blessed, classes, gate.accuracy]}
    )
    monkeypatch.setitem(sys.modules, "components.evaluate.verdict", verdict)

    def run(model_dir, blessed, serving_dir=tmp_path / "serving", infra=None):
        model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
        evaluation, pushed = standard_artifacts.ModelEvaluation(), standard_artifacts.PushedModel()
        model.uri, evaluation.uri = str(tmp_path / "trained"), "evaluated"
        blessing.set_int_custom_property("blessed", int(blessed))
        shutil.copytree(model_dir, tmp_path / "trained" / "Format-Serving", dirs_exist_ok=True)
        parameters = {"serving_dir": str(serving_dir), "name": "six_class", "keep": 2, "classes": json.dumps(LABELS)}
        parameters |= {"gate": '{"accuracy": 0.9}', "recipe": "train: {seed: 1}\n", "code": "abc"}
        inputs = {"model": [model], "blessing": [blessing], "evaluation": [evaluation]}
        if infra:
            inputs["infra_blessing"] = [infra]
        Publisher.EXECUTOR_SPEC.executor_class().Do(inputs, {"pushed_model": [pushed]}, parameters)
        return pushed

    return run


@pytest.mark.slow
def test_blessed_model_is_published_and_found_again(run_component, toy, serving):
    first, again = run_component(toy, blessed=True), run_component(toy, blessed=True)
    (version, path), *others = versions(serving).items()
    assert others == []
    for pushed in (first, again):
        assert pushed.get_int_custom_property("pushed") == 1
        assert pushed.get_string_custom_property("pushed_version") == str(version)
        assert pushed.get_string_custom_property("pushed_destination") == str(path)
        assert pushed.get_string_custom_property("version") == str(version)
    extras = read_extras(path)
    assert extras["labels.txt"].decode() == LABELS_TXT
    assert extras["recipe.yaml"] == b"train: {seed: 1}\n"
    assert json.loads(extras["metrics.json"]) == {"asked": ["evaluated", True, list(LABELS), 0.9]}
    assert json.loads(extras["provenance.json"])["code"] == "abc"


@pytest.mark.slow
def test_model_that_was_not_blessed_stays_out(run_component, toy, serving, model, caplog):
    assert run_component(toy, blessed=False).get_string_custom_property("version") == ""
    assert "six_class was not approved. Nothing was published; no version serves." in caplog.text
    version = put(model(), serving).version
    pushed = run_component(toy, blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("version") == str(version)
    assert list(versions(serving)) == [version]
    assert f"version {version} serves" in caplog.text


@pytest.fixture
def tried(tmp_path):
    """What came of trying a model in a server."""
    from tfx.types import standard_artifacts

    def make(reason="", warmup=b""):
        blessing = standard_artifacts.InfraBlessing()
        blessing.uri = str(tmp_path / "tried")
        blessing.set_int_custom_property("blessed", int(not reason))
        blessing.set_string_custom_property("reason", reason)
        (tmp_path / "tried").mkdir(exist_ok=True)
        (tmp_path / "tried" / "tf_serving_warmup_requests").write_bytes(warmup)
        return blessing

    return make


@pytest.mark.slow
def test_model_goes_out_with_its_warmup_and_once_whatever_that_is(run_component, tried, toy, serving):
    first = run_component(toy, blessed=True, infra=tried(warmup=b"four pictures"))
    again = run_component(toy, blessed=True, infra=tried(warmup=b"others"))
    [(version, path)] = versions(serving).items()
    assert read_extras(path)["tf_serving_warmup_requests"] == b"four pictures"
    for pushed in (first, again):
        assert pushed.get_string_custom_property("pushed_version") == str(version)
        assert pushed.get_string_custom_property("unservable") == ""


@pytest.mark.slow
def test_approved_model_that_no_server_can_serve_stays_out(run_component, tried, toy, serving, model, caplog):
    version = put(model(), serving).version
    pushed = run_component(toy, blessed=True, infra=tried(reason="it cannot be loaded: no weights"))
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("unservable") == "it cannot be loaded: no weights"
    assert pushed.get_string_custom_property("version") == str(version)
    assert list(versions(serving)) == [version]
    assert f"it cannot be loaded: no weights. Nothing was published; version {version} serves." in caplog.text


@pytest.mark.slow
def test_refused_model_is_not_told_to_be_unservable(run_component, tried, toy, serving):
    pushed = run_component(toy, blessed=False, infra=tried(reason="not tried: its evaluation did not approve it"))
    assert pushed.get_string_custom_property("unservable") == ""
    assert versions(serving) == {}


@pytest.mark.slow
def test_blessed_model_that_breaks_the_contract_stays_out(run_component, tmp_path, serving):
    broken = save_toy(tmp_path / "toy", "serving_default", lambda tf, a: {"confidence": a["confidence"] / 2})
    reason = r"contract: serving_default: picture 0: confidence is not the highest probability\. Mend .* Nothing was"
    with pytest.raises(PublishError, match=reason):
        run_component(broken, blessed=True)
    assert versions(serving) == {}
    assert hidden(serving) == []


@pytest.mark.slow
def test_model_that_does_not_answer_in_time_stays_out(run_component, toy, serving, monkeypatch):
    monkeypatch.setattr("components.publish.component._VERIFY_SECONDS", 0.01)
    with pytest.raises(PublishError, match=r"not loaded and checked within 0\.01 s"):
        run_component(toy, blessed=True)
    assert versions(serving) == {}
    assert hidden(serving) == []


@pytest.mark.slow
def test_bucket_is_refused_as_a_serving_folder(run_component, toy):
    with pytest.raises(PublishError, match="gs://bucket/serving is no folder"):
        run_component(toy, blessed=True, serving_dir="gs://bucket/serving")
