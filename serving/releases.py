"""Which versions of a model a server loads, and which of them is `stable` or `canary`: the file `models.config`.

It is TensorFlow Serving's model config file and lies in the serving folder, beside the models. Without it the highest
version of each model serves, and a new one goes live when it is published. Once a model has a label, the server loads
the versions listed here and no others: a new one waits until it gets a label.

Two rules of the server shape what is written. It refuses a whole config that gives a label to a version it has not
loaded, so that takes two steps: load, then label. And it answers requests that name neither version nor label
with the highest version loaded, so a version rolled back from is unloaded in the step that moves `stable` away from it.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from serving.config_file import ConfigFile, ReleaseError, set_specific
from serving.disk import locked

STABLE, CANARY = "stable", "canary"

_LOCK = ".lock"
_HEADER = "# Written by `fashion models`. Entries made by hand are kept, comments are not.\n"
_PAST = re.compile(r"^# (\S+): stable was (\d+(?:, \d+)*)$", re.MULTILINE)
_MOST_PAST = 20


class Releases(ConfigFile):
    """What `models.config` says of a serving folder, to be changed and written back.

    Models are called by their folder's name, `<serving>/<model>/<version>/`; the server may know them by another.
    """

    def __init__(self, serving: Path) -> None:
        """Reads the config of a serving folder; one that is not there is empty.

        Raises:
            ReleaseError: it is not a model config, or cannot be read.
        """
        super().__init__(serving)
        self._past = {name: [int(v) for v in past.split(", ")] for name, past in _PAST.findall(self.before)}

    def labels(self, model: str) -> dict[str, int]:
        """Label to version; empty for a model that is not in the config."""
        return dict(self.entry(model).version_labels) if model in self else {}

    def default(self, model: str, on_disk: Collection[int]) -> int | None:
        """The version that answers requests which name neither a version nor a label."""
        return max(self.loaded(model, on_disk), default=None)

    def serving(self, model: str, on_disk: Collection[int]) -> int | None:
        """The version that answers for a model: the stable one, or the default one where none is stable."""
        stable = self.labels(model).get(STABLE)
        return stable if stable in on_disk else self.default(model, on_disk)

    def pinned(self, model: str, on_disk: Collection[int]) -> set[int]:
        """The versions that must not be removed: labelled, loaded, to be loaded, or what `rollback` goes back to."""
        if model not in self:
            return self.loaded(model, on_disk)
        listed = self.entry(model).model_version_policy.specific.versions
        past = self._past.get(model, [])[-1:]
        return {*self.labels(model).values(), *listed, *past, *self.loaded(model, on_disk)}

    def promote(self, model: str, version: int, on_disk: Collection[int]) -> bool:
        """Makes a version `stable`; the one before stays loaded for a quick rollback if it is lower.

        Promoting the stable version again unloads what has no label. Promoting one that was stable before forgets those
        that came after it.

        Returns:
            Whether that is done. If not, the version is only to be loaded: write this, let the server load it, repeat.
        """
        held = self.labels(model).get(STABLE)
        if not self._label(model, STABLE, version, on_disk):
            return False
        past = self._past.setdefault(model, [])
        if version in past:
            del past[past.index(version) :]
        elif held not in (None, version):
            past.append(held)
        self._load(model, on_disk, {held} if held is not None and held < version else set())
        return True

    def canary(self, model: str, version: int | None, on_disk: Collection[int]) -> bool:
        """Makes a version `canary` beside the stable one; None ends that and unloads it.

        Returns:
            As `promote`.

        Raises:
            ReleaseError: no version is stable yet.
        """
        if version is None:
            self.entry(model).version_labels.pop(CANARY, None)
        elif STABLE not in self.labels(model):
            raise ReleaseError(
                f"{model}: no version is stable yet, and a canary is tried beside a stable one. "
                f"Say which it is: fashion models promote {model} VERSION."
            )
        elif not self._label(model, CANARY, version, on_disk):
            return False
        stable = self.labels(model).get(STABLE)
        self._load(model, on_disk, {past for past in self._past.get(model, [])[-1:] if stable and past < stable})
        return True

    def former(self, model: str, on_disk: Collection[int]) -> int:
        """The version to promote for a rollback: what was stable before, or without one on record the next lower one.

        Raises:
            ReleaseError: there is none.
        """
        now = self.labels(model).get(STABLE) or self.default(model, on_disk) or 0
        recorded = [version for version in self._past.get(model, []) if version in on_disk and version != now]
        former = recorded[-1] if recorded else max((version for version in on_disk if version < now), default=None)
        if former is None:
            raise ReleaseError(f"{model}: there is no version before {now} to go back to. Publish a better one.")
        return former

    def text(self) -> str:
        """Returns the file as it should be now, the former stable versions as comments."""
        past = "".join(
            f"# {model}: stable was {', '.join(map(str, versions[-_MOST_PAST:]))}\n"
            for model, versions in sorted(self._past.items())
            if versions
        )
        return _HEADER + past + super().text()

    def _label(self, model: str, label: str, version: int, on_disk: Collection[int]) -> bool:
        """Moves a label, if the server will take it; else has the version loaded."""
        if version not in on_disk:
            raise ReleaseError(f"{model}: there is no version {version}; there are {_listed(on_disk)}.")
        entry = self.entry(model)
        loaded = self.loaded(model, on_disk)
        labels = self.labels(model)
        if version in loaded or labels.get(label) == version or not self.exists:
            entry.version_labels[label] = version
            return True
        # Where there are no labels, all are answered by the highest version loaded: that has to be this one.
        set_specific(entry, {*loaded, version} if labels else {version})
        return False

    def _load(self, model: str, on_disk: Collection[int], further: Collection[int] = ()) -> None:
        """Has the labelled versions loaded, and of the further ones those that are already."""
        labelled = set(self.labels(model).values())
        if labelled:
            set_specific(self.entry(model), labelled | (self.loaded(model, on_disk) & set(further)))


@contextmanager
def alone(serving: Path) -> Iterator[None]:
    """Holds the lock of a serving folder's config. The system frees it with the process, however that ends.

    Raises:
        ReleaseError: there is no such folder, or it cannot be written.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(serving / _LOCK))
        except OSError as error:
            raise ReleaseError(f"{serving}: cannot write here ({error.strerror}). Name the serving folder.") from error
        yield


def pinned(store: Path, on_disk: Collection[int], new: int) -> set[int]:
    """The versions of one model, `<serving>/<model>`, that must not be removed whatever their age.

    To be asked within `alone(store.parent)`, held until the others are removed: labels move in the meantime otherwise.

    Args:
        store: the model's folder.
        on_disk: its versions.
        new: the one that was just published. Servers have still loaded what they had before, and keep that if they
            cannot load the new one.

    Raises:
        ReleaseError: there is a config and it cannot be read.
    """
    releases = Releases(store.parent)
    before = [version for version in on_disk if version != new]
    return releases.pinned(store.name, on_disk) | releases.pinned(store.name, before)


def _listed(versions: Collection[int]) -> str:
    return ", ".join(map(str, sorted(versions))) or "none"
