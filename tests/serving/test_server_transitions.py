"""What is in memory is what is served, however reloads, polls, failures and the end fall together."""

import asyncio
import logging

import pytest

from serving.server.config import Options
from serving.server.errors import ServingError
from serving.server.manager import ModelManager, Spec
from serving.server.metrics import Metrics
from tests.serving.loader import loader as loader
from tests.serving.loader import publish
from tests.serving.managed_models import FAST, STILL, configured, refusal, run, serving, specific, states, until


@pytest.fixture
def bases(tmp_path):
    """The folders of two models, each with version 1."""
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        publish(folder, 1)
    return folders


def served(manager, *bases):
    """The versions that answer, as `Loader.memory` tells what is loaded."""
    return sorted(
        base / str(version)
        for base in bases
        for version, state in (states(manager, base.name) if is_known(manager, base.name) else {}).items()
        if state == "AVAILABLE"
    )


def is_known(manager, name):
    try:
        return bool(manager.status(name))
    except ServingError:
        return False


async def settled(loader, manager, *bases, expected):
    """Waits until nothing else is in memory than what serves, and that is as expected."""
    await until(lambda: sorted(loader.memory) == served(manager, *bases) == sorted(expected))


def test_old_version_serves_until_the_new_one_is_loaded_and_is_unloaded_then(loader, bases):
    one, _ = bases

    async def scenario():
        async with serving(configured(one), FAST) as manager:
            with loader.held(one / "2") as begun:
                publish(one, 2)
                await begun
                assert states(manager, "one") == {2: "LOADING", 1: "AVAILABLE"}
                assert loader.memory == [one / "1"]
            await until(lambda: states(manager, "one") == {2: "AVAILABLE", 1: "END"})
            assert loader.memory == [one / "2"]

    run(scenario)


def test_reload_is_finished_and_frees_what_it_retires_though_its_caller_hangs_up(loader, bases):
    one, two = bases

    async def scenario():
        async with serving(configured(one), STILL) as manager:
            with loader.held(two / "1") as begun:
                reload = asyncio.ensure_future(manager.reload(configured(two)))
                await begun
                reload.cancel()
                await asyncio.gather(reload, return_exceptions=True)
                assert reload.cancelled()
            await settled(loader, manager, one, two, expected=[two / "1"])
            await manager.reload(configured(one))  # the next one is not held up either
            await settled(loader, manager, one, two, expected=[one / "1"])
        assert loader.memory == []

    run(scenario)


def test_poll_loads_no_model_again_that_a_reload_has_retired(loader, bases):
    one, two = bases

    async def scenario():
        async with serving(configured(one, two, policy="model_version_policy { all {} }"), FAST) as manager:
            with loader.held(one / "3") as begun:
                publish(one, 2)  # which the poll loads next, before it comes to the other model
                publish(one, 3)
                await begun
                reload = asyncio.ensure_future(manager.reload(configured()))
                await asyncio.sleep(0)
            await reload
            await settled(loader, manager, one, two, expected=[])
            await asyncio.sleep(5 * FAST.poll_seconds)
            assert loader.memory == []
            assert loader.tries.count(two / "1") == 1

    run(scenario)


def test_reload_during_a_poll_that_loads_leaves_nothing_behind(loader, bases):
    one, two = bases

    async def scenario():
        async with serving(configured(one), FAST) as manager:
            with loader.held(one / "2") as begun:
                publish(one, 2)
                await begun
                reload = asyncio.ensure_future(manager.reload(configured(two)))
                await asyncio.sleep(0)
            await reload
            await settled(loader, manager, one, two, expected=[two / "1"])
        assert loader.memory == []

    run(scenario)


def test_reloads_at_once_end_as_the_last_one_asked(loader, bases):
    one, two = bases

    async def scenario():
        async with serving(configured(one), FAST) as manager:
            configs = [configured(two), configured(one, two), configured(one), configured(two)] * 3
            reloads = [asyncio.ensure_future(manager.reload(config)) for config in configs]
            await asyncio.sleep(0)
            for reload in reloads[::2]:
                reload.cancel()
            await asyncio.gather(*reloads, return_exceptions=True)
            await settled(loader, manager, one, two, expected=[two / "1"])
        assert loader.memory == []

    run(scenario)


def test_server_that_ends_while_it_loads_keeps_nothing_in_memory(loader, bases):
    one, two = bases

    async def scenario():
        manager = ModelManager(configured(one, two), FAST, Metrics())
        with loader.held(one / "1") as begun:
            start = asyncio.ensure_future(manager.start())
            await begun
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            assert await manager.stop(0.01) is False
            assert (await refusal(manager.reload(configured(two))))[0] == "UNAVAILABLE"
        assert await manager.stop() is True
        assert loader.memory == []
        assert loader.tries == [one / "1"]  # the rest was not begun

    run(scenario)


def test_model_that_moves_serves_from_its_old_folder_until_the_new_one_can_be_loaded(loader, tmp_path, bases):
    one, _ = bases
    moved = tmp_path / "moved" / "one"
    version = publish(moved, 5)
    loader.faults[version] = 3

    async def scenario():
        async with serving(configured(one), Options(poll_seconds=0.01, retry_seconds=0.02)) as manager:
            assert (await refusal(manager.reload(configured(moved))))[0] == "UNKNOWN"
            assert (states(manager, "one"), loader.memory) == ({1: "AVAILABLE"}, [one / "1"])
            await settled(loader, manager, moved, expected=[version])
            assert loader.tries.count(version) == 4
        assert loader.memory == []

    run(scenario)


def test_model_that_moves_back_forgets_where_it_was_to_go(loader, tmp_path, bases):
    one, _ = bases
    moved = tmp_path / "moved" / "one"
    version = publish(moved, 5)
    loader.faults[version] = 1

    async def scenario():
        async with serving(configured(one), Options(poll_seconds=0.01, retry_seconds=0.02)) as manager:
            await refusal(manager.reload(configured(moved)))
            await manager.reload(configured(one))
            await asyncio.sleep(0.2)
            await settled(loader, manager, one, expected=[one / "1"])
            assert loader.tries.count(version) <= 2

    run(scenario)


def test_version_that_fails_for_a_passing_reason_is_tried_again_and_told_once(loader, bases, caplog):
    one, _ = bases
    loader.faults[one / "2"] = 4

    async def scenario():
        async with serving(configured(one), Options(poll_seconds=0.01, retry_seconds=0.02)) as manager:
            publish(one, 2)
            await until(lambda: states(manager, "one").get(2) == "END")
            assert manager.status("one")[0].error_message.endswith("Input/output error")
            assert states(manager, "one")[1] == "AVAILABLE"
            await settled(loader, manager, one, expected=[one / "2"])
            assert loader.tries.count(one / "2") == 5

    caplog.set_level(logging.INFO)
    run(scenario)
    told = [record for record in caplog.records if "version 2 cannot be loaded" in record.message]
    assert [record.levelname for record in told] == ["ERROR"]
    assert "tried again in 0.02 s, or when its files change" in told[0].message


def test_version_is_tried_again_at_once_when_its_permissions_change(loader, bases):
    one, _ = bases

    async def scenario():
        async with serving(configured(one), Options(poll_seconds=0.01, retry_seconds=3600)) as manager:
            file = publish(one, 2) / "saved_model.pb"
            file.chmod(0o000)
            await until(lambda: "Permission denied" in manager.status("one")[0].error_message)
            written = file.stat().st_mtime_ns
            file.chmod(0o644)
            await settled(loader, manager, one, expected=[one / "2"])
            assert file.stat().st_mtime_ns == written

    run(scenario)


def test_version_that_is_wanted_anew_is_tried_at_once(loader, bases):
    one, _ = bases
    publish(one, 2)
    loader.faults[one / "2"] = 1

    async def scenario():
        async with serving(configured(one), Options(poll_seconds=0, retry_seconds=3600)) as manager:
            assert states(manager, "one") == {2: "END"}
            for policy in (specific(1), specific(2)):
                await manager.reload(configured(one, policy=policy))
            await settled(loader, manager, one, expected=[one / "2"])

    run(scenario)


LABELS = [("stable", 1), ("gone", 7)]


def test_label_of_a_version_that_is_gone_keeps_no_model_from_starting(loader, bases, caplog):
    one, two = bases
    config = configured(one, two, labels=LABELS)

    async def scenario():
        async with serving(config, STILL) as manager:
            await settled(loader, manager, one, two, expected=[one / "1", two / "1"])
            assert [manager.status(name, label="stable")[0].version for name in ("one", "two")] == [1, 1]
            with pytest.raises(ServingError, match="Could not find version 7 of model one"):
                manager.status("one", label="gone")
            with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(one, 7\)"):
                manager.signatures(Spec("one", label="gone"))
            await manager.reload(configured(two, labels=LABELS))  # nor from being taken out
            for wrong in ([("stable", 7), ("gone", 7)], [("stable", 1), ("gone", 8)], [("new", 7)]):
                assert (await refusal(manager.reload(configured(two, labels=wrong))))[0] == "FAILED_PRECONDITION"
            await settled(loader, manager, one, two, expected=[two / "1"])

    run(scenario)
    assert "model one: label 'gone' is at version 7, which does not serve" in caplog.text
