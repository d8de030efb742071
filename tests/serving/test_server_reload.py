"""A configuration given to a running server takes effect without a gap, or is refused and changes nothing."""

import asyncio
from pathlib import Path

import pytest

from serving.server.config import ModelServerConfig
from serving.server.manager import Spec
from tests.serving.managed_models import (
    FAST,
    NAME,
    ask,
    configured,
    put,
    refusal,
    run,
    serving,
    specific,
    states,
    until,
)
from tests.serving.managed_models import base as base
from tests.serving.managed_models import models as models
from tests.serving.managed_models import pictures as pictures

pytestmark = pytest.mark.slow


def test_labels_move_between_versions_that_serve_and_to_no_other(models, base, pictures):
    async def scenario():
        put(models, base, 2)
        put(models, base, 3)
        both = {"policy": specific(1, 2)}
        async with serving(configured(base, **both, labels=[("stable", 1), ("canary", 2)])) as manager:
            stable, canary = Spec(NAME, label="stable"), Spec(NAME, label="canary")
            assert await ask(manager, pictures, stable) == 1
            assert await ask(manager, pictures, canary) == 2
            assert [status.version for status in manager.status(NAME, label="stable")] == [1]
            await manager.reload(configured(base, **both, labels=[("stable", 2)]))
            assert await ask(manager, pictures, stable) == 2
            code, message = await refusal(ask(manager, pictures, canary))
            assert (code, message) == ("INVALID_ARGUMENT", "Unrecognized servable version label: canary")
            for policy in (specific(1, 2), specific(1, 2, 3)):  # not even together with its version
                code, message = await refusal(manager.reload(configured(base, policy=policy, labels=[("stable", 3)])))
                assert code == "FAILED_PRECONDITION"
                assert f"assign label to version 3 of model {NAME}, which is not currently available" in message
            await refusal(manager.reload(configured(base, policy=specific(1), labels=[("stable", 2)])))
            assert await ask(manager, pictures, stable) == 2
            assert states(manager) == {2: "AVAILABLE", 1: "AVAILABLE"}

    run(scenario)


def test_reload_adds_changes_and_removes_models(models, base, tmp_path, pictures):
    async def scenario():
        other = tmp_path / "other"
        put(models, other, 3)
        put(models, base, 2)
        async with serving(configured(base), FAST) as manager:
            await manager.reload(configured(base, other, policy=specific(1, 3)))
            await until(lambda: states(manager) == {2: "END", 1: "AVAILABLE"})
            assert await ask(manager, pictures, Spec("other")) == 3
            await manager.reload(configured(other))
            assert (await refusal(ask(manager, pictures)))[0] == "NOT_FOUND"
            assert await ask(manager, pictures, Spec("other")) == 3
            await manager.reload(ModelServerConfig())  # empty: nothing to do
            assert await ask(manager, pictures, Spec("other")) == 3

    run(scenario)


def test_model_moves_to_another_folder_without_a_gap_and_stays_if_nothing_loads_there(models, base, tmp_path, pictures):
    async def scenario():
        moved, empty = tmp_path / "moved" / NAME, tmp_path / "empty" / NAME
        put(models, moved, 2)
        empty.mkdir(parents=True)
        async with serving(configured(base)) as manager:
            code, message = await refusal(manager.reload(configured(empty)))
            assert (code, message) == ("UNKNOWN", f"1 model(s) did not become available: {{{NAME}}}")
            assert await ask(manager, pictures) == 1
            await manager.reload(configured(moved))
            assert await ask(manager, pictures) == 2

    run(scenario)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (lambda base: configured(base, base), "INVALID_ARGUMENT"),
        (lambda base: configured(base.with_name("nowhere")), "NOT_FOUND"),
        (lambda base: configured(base, Path("relative")), "INVALID_ARGUMENT"),
        (lambda base: configured(base, labels=[("stable", 9)]), "FAILED_PRECONDITION"),
    ],
)
def test_refused_reload_changes_nothing(base, pictures, wrong, code):
    async def scenario():
        config = configured(base, labels=[("stable", 1)])
        async with serving(config, FAST) as manager:
            assert (await refusal(manager.reload(wrong(base))))[0] == code
            await asyncio.sleep(0.1)
            assert await ask(manager, pictures, Spec(NAME, label="stable")) == 1
            assert states(manager) == {1: "AVAILABLE"}
            assert manager.ready

    run(scenario)
