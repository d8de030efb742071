"""Packages that Kubeflow Pipelines runs again and again."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from components.errors import ClusterError
from components.reading import choices
from pipeline.kubeflow.cluster import ENDED, Say, Server, equal, pages, patiently, pause
from pipeline.kubeflow.submit import Order, experiment_id, upload

OURS = " (made by fashion schedule)"


def schedules(server: Server, name: str | None = None) -> list[Any]:
    """Lists the schedules made here, or those of one name, as kfp's V2beta1RecurringRun."""
    query = {"filter": equal("display_name", name)} if name else {}
    runs = pages(server.list_recurring_runs, "recurring_runs", namespace=server.namespace, **query)
    return [run for run in runs if (run.description or "").endswith(OURS)]


def put_schedule(server: Server, name: str, cron: str, order: Order, wait: bool, say: Say) -> None:
    """Schedules a package: creates the schedule, replaces it, or leaves it as it is.

    Recurring runs cannot be changed: another is made, switched off; then the old one is switched off, the new one on,
    and the old one deleted. Wherever that is cut short, no two are on, one is there, and the same call finishes it.

    `cron` has six fields, seconds first. Where a run of the old version is under way, `wait` lets it end first;
    otherwise it is refused to replace it. `say` receives a line for each step.
    """
    version, experiment = upload(server, order.package, say), experiment_id(server, order.experiment)
    existing = schedules(server, name)
    same = [old for old in existing if _is_same(old, cron, order, version.pipeline_version_id, experiment)]
    same.sort(key=lambda old: old.mode != "ENABLE")
    olds = [old for old in existing if old is not next(iter(same), None)]
    if same and not olds:
        off = "" if same[0].mode == "ENABLE" else f"; it is off, --enable {name} switches it on"
        say(f"unchanged {name}: {order.package.version} by {in_words(cron)}{off}")
        return
    _let_end(server, olds, wait, say)
    new = same[0] if same else _create(server, name, cron, order, version, experiment, enabled=not olds)
    # Two that are off are a replacement that was cut short.
    on = not olds or len(existing) > 1 or olds[0].mode == "ENABLE"
    _hand_over(server, new, olds, on, say)
    done, off = "replaced " if olds else "scheduled", "" if on else "; it is off, as the old one was"
    say(f"{done} {name}: {order.package.version} by {in_words(cron)}{off}")
    say(f"          {server.link(f'recurringrun/details/{new.recurring_run_id}')}")


def _create(server: Server, name: str, cron: str, order: Order, version: Any, experiment: str, enabled: bool) -> Any:
    return server.create_recurring_run(
        experiment, name, description=f"{version.display_name}{OURS}", cron_expression=cron, max_concurrency=1,
        no_catchup=True, params=dict(order.arguments), pipeline_id=version.pipeline_id,
        version_id=version.pipeline_version_id, enabled=enabled, service_account=order.service_account,
    )  # fmt: skip


def _is_same(recurring: Any, cron: str, order: Order, version_id: str, experiment: str) -> bool:
    schedule = recurring.trigger and recurring.trigger.cron_schedule
    return (
        bool(schedule and schedule.cron == cron)
        and recurring.pipeline_version_reference.pipeline_version_id == version_id
        and ((recurring.runtime_config and recurring.runtime_config.parameters) or {}) == order.arguments
        and recurring.experiment_id == experiment
        and order.service_account in (None, recurring.service_account)
        and (int(recurring.max_concurrency or 0), recurring.no_catchup) == (1, True)
    )


def _hand_over(server: Server, new: Any, olds: Sequence[Any], on: bool, say: Say) -> None:
    were_on = [old for old in olds if old.mode == "ENABLE"]
    for old in were_on:
        server.disable_recurring_run(old.recurring_run_id)
    try:
        _let_end(server, were_on, wait=False, say=say)  # one may have started meanwhile
    except ClusterError:
        for old in were_on if new.mode != "ENABLE" else ():
            server.enable_recurring_run(old.recurring_run_id)
        raise
    if on and new.mode != "ENABLE":
        server.enable_recurring_run(new.recurring_run_id)
    for old in olds:
        server.delete_recurring_run(old.recurring_run_id)


def _let_end(server: Server, recurring: Iterable[Any], wait: bool, say: Say) -> None:
    """Deleting a recurring run also deletes the run of it that is under way, so that one must have ended."""
    for schedule in recurring:
        last = None
        while run := patiently(functools.partial(_under_way, server, schedule)):
            link = server.link(f"runs/details/{run.run_id}")
            if not wait:
                raise ClusterError(
                    f"{schedule.display_name}: its run {run.display_name} is under way and would be lost ({link}). "
                    "Add --wait to let it end first, or give the command again later"
                )
            if run.run_id != last:
                last = run.run_id
                say(f"waiting   for {run.display_name} to end: {link}")
            pause()


def _under_way(server: Server, recurring: Any) -> Any:
    own = equal("recurring_run_id", recurring.recurring_run_id)
    runs = server.list_runs(page_size=10, sort_by="created_at desc", namespace=server.namespace, filter=own)
    return next((run for run in runs.runs or () if run.state not in ENDED), None)


def switch_schedule(server: Server, name: str, on: bool) -> None:
    """Enables or disables a schedule.

    Raises:
        ClusterError: there is none, or one whose replacement was cut short should be enabled.
    """
    existing = _existing(server, name)
    if on and len(existing) > 1:
        raise ClusterError(f"{name} was being replaced when that was cut short: finish with `fashion schedule --cron`")
    switch = server.enable_recurring_run if on else server.disable_recurring_run
    for schedule in existing:
        switch(schedule.recurring_run_id)


def delete_schedule(server: Server, name: str, wait: bool, say: Say) -> None:
    """Deletes a schedule.

    Raises:
        ClusterError: there is none, or a run of it is under way and is not to be waited for.
    """
    existing = _existing(server, name)
    _let_end(server, existing, wait, say)
    for schedule in existing:
        server.delete_recurring_run(schedule.recurring_run_id)


def _existing(server: Server, name: str) -> list[Any]:
    if existing := schedules(server, name):
        return existing
    names = {schedule.display_name for schedule in schedules(server)}
    raise ClusterError(
        f"{server.host} has no schedule {name}; {choices(name, sorted(names)) if names else 'it has none'}"
    )


def in_words(cron: str) -> str:
    """Writes a cron expression as people do: five fields where the seconds are zero."""
    return f"{cron.removeprefix('0 ')} UTC"
