"""A version that could not be loaded is tried again: soon where its files changed, in growing intervals otherwise."""

import pytest

from serving.server.retries import Retries, stamp_files

OLD, HALF, NEW = ((("saved_model.pb", size, 0, 0),) for size in (1, 2, 3))


def test_same_files_are_tried_again_in_intervals_that_double_to_an_hour():
    retries, now, intervals = Retries(60), 0.0, []
    for _ in range(9):
        began = now
        due = now + retries.fail(OLD, now)
        while not retries.is_due(OLD, now):
            now += 10
        assert now == due
        intervals.append(now - began)
    assert intervals == [60, 120, 240, 480, 960, 1920, 3840, 3840, 3840]


@pytest.mark.parametrize(
    ("looks", "due"),
    [
        ([OLD, OLD], [False, False]),
        ([NEW, NEW], [False, True]),
        ([HALF, NEW, NEW], [False, False, True]),
        ([(), (), OLD], [False, True, False]),
    ],
    ids=["nothing changed", "fixed", "still being copied", "gone and back"],
)
def test_changed_files_are_tried_once_they_have_kept_still(looks, due):
    retries = Retries(60)
    retries.fail(OLD, 0)
    assert [retries.is_due(stamp, 1) for stamp in looks] == due


def test_interval_starts_anew_with_other_files():
    retries = Retries(60)
    for _ in range(5):
        retries.fail(OLD, 0)
    assert [retries.is_due(NEW, 1), retries.is_due(NEW, 1)] == [False, True]
    assert retries.fail(NEW, 1) == 60


def test_version_that_is_wanted_anew_is_tried_at_once():
    retries = Retries(60)
    retries.fail(OLD, 0)
    retries.hurry()
    assert retries.is_due(OLD, 1)


def test_stamp_tells_a_change_of_permissions_and_of_content(tmp_path):
    file = tmp_path / "variables" / "variables.index"
    file.parent.mkdir()
    file.write_text("1")
    before, written = stamp_files(tmp_path), file.stat().st_mtime_ns
    assert stamp_files(tmp_path) == before
    file.chmod(0o600)
    closed = stamp_files(tmp_path)
    assert (closed != before, file.stat().st_mtime_ns) == (True, written)
    file.write_text("22")
    assert stamp_files(tmp_path) not in (before, closed)
    assert stamp_files(tmp_path / "gone") == ()
