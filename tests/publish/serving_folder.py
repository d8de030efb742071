"""A serving folder, and files that lie like a model to put there."""

import pytest

from components.publish.store import model_digest, publish
from tests.publish.toy import LABELS_TXT


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


def put(model_dir, store, keep=5, **more):
    return publish(model_dir, store, model_digest(model_dir), {"labels.txt": LABELS_TXT}, keep, **more)


def hidden(store):
    return sorted(path.name for path in store.iterdir() if not path.name.isdecimal() and path.name != ".lock")
