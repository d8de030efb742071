"""When a version that could not be loaded is tried again."""

from pathlib import Path

_MOST_DOUBLINGS = 6

Stamp = tuple[tuple[str, int, int, int], ...]


class Retries:
    """The failures of one version to load.

    It is tried again when its files have changed and then kept still, for somebody may be copying. What does not show
    in the files, such as a network that was away, may have passed after a while: it is tried again after so many
    seconds, too, doubled with each failure up to 64 times as long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._failures, self._due = seconds, 0, 0.0
        self._failed: Stamp = ()
        self._seen: Stamp = ()

    def is_due(self, stamp: Stamp, now: float) -> bool:
        """Whether to try again; to be asked at every look, with seconds of a clock that never goes back."""
        changed, settled = stamp != self._failed, stamp == self._seen
        self._seen = stamp
        if changed and settled:
            self._failures = 0
        return (changed and settled) or now >= self._due

    def fail(self, stamp: Stamp, now: float) -> float:
        """Notes a failure; returns the seconds until the next try, while the files are the same."""
        wait = float(self._seconds * 2 ** min(self._failures, _MOST_DOUBLINGS))
        self._failed = self._seen = stamp
        self._failures, self._due = self._failures + 1, now + wait
        return wait

    def hurry(self) -> None:
        """Makes the next try due at once."""
        self._due = 0.0


def stamp_files(folder: Path) -> Stamp:
    """Names, sizes and times of the files in a version's folder, which tell a change; empty if it cannot be read.

    A change of permissions leaves the time of the last writing alone, so the time of the last change of any kind is in.
    """
    try:
        files = [(file, file.stat()) for file in sorted(folder.rglob("*")) if file.is_file()]
    except OSError:
        return ()
    return tuple((str(file), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for file, stat in files)
