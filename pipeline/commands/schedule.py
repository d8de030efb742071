"""`fashion submit` and `fashion schedule`: packages on a Kubeflow Pipelines server, once or night after night."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands import PATH, RECIPE, Command, grid, shared_options
from pipeline.commands.kubeflow import cluster_options

if TYPE_CHECKING:
    from pipeline.kubeflow.cluster import Server
    from pipeline.kubeflow.submit import Order

_MOST_NAME = 128  # characters

EXIT_CODES = """
\b
Exit codes: 0 done · 2 wrong package, recipe or option ·
9 Kubeflow Pipelines cannot be reached, refuses, or the run failed ·
130 stopped by Ctrl-C
"""


def _name(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Refuses a name that Kubeflow's database would not keep."""
    if value and len(value) > _MOST_NAME:
        raise click.BadParameter(f"Kubeflow keeps names of up to {_MOST_NAME} characters; this has {len(value)}")
    return value


_common = shared_options(
    click.option(
        "--host",
        envvar="KF_PIPELINES_ENDPOINT",
        show_envvar=True,
        required=True,
        help="Address of Kubeflow Pipelines, e.g. https://kubeflow.example.com/pipeline.",
    ),
    click.option("--namespace", help="Yours, where each user of the server has one."),
    click.option(
        "--token-file",
        type=PATH,
        envvar="KF_PIPELINES_SA_TOKEN_PATH",
        show_envvar=True,
        help="Holds a bearer token. The token itself may stand in FASHION_KUBEFLOW_TOKEN instead.",
    ),
    click.option("--cookie-file", type=PATH, help="Holds a session: cookies.txt, or a line such as NAME=VALUE."),
    click.option(
        "--header", "headers", multiple=True, metavar="NAME: VALUE", help="Sent too; @FILE for those in it. Repeatable."
    ),
    click.option("--ca", type=PATH, help="Authority of the server's certificate, in PEM.  [default: SSL_CERT_FILE]"),
    click.option("--package", type=PATH, help="What `fashion compile --target kubeflow` wrote."),
    click.option("--recipe", type=RECIPE, help="Compile this recipe now instead; needs --image."),
    click.option("--image", help="The container image that a recipe compiled now runs in."),
    click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one setting of --recipe. Repeatable."
    ),
    click.option(
        "--param", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter of the package. Repeatable."
    ),
    click.option("--experiment", callback=_name, help="Runs are listed under it.  [default: the pipeline's name]"),
    click.option("--service-account", help="The Kubernetes account that the tasks run as."),
    cluster_options,
)


@click.command(cls=Command, epilog=EXIT_CODES)
@_common
@click.option("--run-name", callback=_name, help="[default: the pipeline's name and the time]")
@click.option("--wait", is_flag=True, help="Follow the run to its end; the exit code says how it ended.")
def submit(run_name: str | None, wait: bool, **options: Any) -> None:
    """Run a package on Kubeflow Pipelines, once.

    The package becomes a version of the pipeline that is named after its recipe; the same package is uploaded once.

    \b
      fashion submit --host http://localhost:8080 --package fashion.yaml --wait
      fashion submit --host https://kubeflow.example.com/pipeline \\
          --namespace ml --token-file token --package fashion.yaml
      fashion submit --host http://localhost:8080 --recipe six_class \\
          --pvc fashion --image registry.example.com/fashion:1.4 \\
          --param data=/data/catalogue
    """
    with _order(**options) as order:
        from pipeline.kubeflow import submit as kubeflow

        server = _connect(**options)
        run_id = kubeflow.submit(server, order, run_name, click.echo)
    if wait:
        try:
            kubeflow.follow(server, run_id, order.package.tasks, click.echo)
        except KeyboardInterrupt:
            click.echo(
                f"fashion: no longer waiting; the run goes on: {server.link(f'runs/details/{run_id}')}", err=True
            )
            sys.exit(130)


@click.command(cls=Command, epilog=EXIT_CODES)
@click.argument("action", type=click.Choice(["list"]), required=False, metavar="[list]")
@_common
@click.option(
    "--cron",
    metavar="FIELDS",
    help="When to run, in UTC: minute, hour, day of the month, month, day of the week; or six fields, seconds first.",
)
@click.option("--name", callback=_name, help="Of the schedule.  [default: the pipeline's name]")
@click.option("--disable", metavar="NAME", help="Switch a schedule off and keep it.")
@click.option("--enable", metavar="NAME", help="Switch it on again. A run that it missed starts at once.")
@click.option("--delete", metavar="NAME", help="Remove a schedule.")
@click.option(
    "--wait", is_flag=True, help="Let a run that is under way end before its schedule is replaced or deleted."
)
def schedule(
    action: str | None, cron: str | None, name: str | None, disable: str | None, enable: str | None, delete: str | None,
    wait: bool, **options: Any,
) -> None:  # fmt: skip
    """Run a package on Kubeflow Pipelines again and again.

    One run of a schedule at a time, none is made up for. The same command again changes nothing; with a new package,
    other parameters or another time it replaces the schedule. A replaced schedule that was off stays off.
    Times are UTC, unless the server's administrator has set CRON_SCHEDULE_TIMEZONE.

    \b
      fashion schedule --host http://localhost:8080 \\
          --package fashion.yaml --cron "0 3 * * *"
      fashion schedule --host http://localhost:8080 list
      fashion schedule --host http://localhost:8080 --disable six-class
      fashion schedule --host http://localhost:8080 --delete six-class
    """
    if [action, cron, disable, enable, delete].count(None) != 4:
        raise click.UsageError("Give one of: list, --cron, --disable, --enable, --delete.")
    if cron is None and (options["package"] or options["recipe"]):
        raise click.UsageError("--package and --recipe go with --cron.")
    if cron is not None:
        from pipeline.kubeflow.cron import kubeflow_cron

        fields = kubeflow_cron(cron)
        with _order(**options) as order:
            from pipeline.kubeflow.schedules import put_schedule

            put_schedule(_connect(**options), name or order.package.name, fields, order, wait=wait, say=click.echo)
        return
    from pipeline.kubeflow import schedules as kubeflow

    server = _connect(**options)
    if delete:
        kubeflow.delete_schedule(server, delete, wait, click.echo)
        click.echo(f"deleted   {delete}")
    elif disable or enable:
        kubeflow.switch_schedule(server, str(disable or enable), on=bool(enable))
        click.echo(f"{'enabled ' if enable else 'disabled'}  {disable or enable}")
    else:
        _list(server)


def _list(server: "Server") -> None:
    from pipeline.kubeflow.schedules import OURS, in_words, schedules

    rows = [
        (run.display_name, "on" if run.mode == "ENABLE" else "off", in_words(run.trigger.cron_schedule.cron),
         run.description.removesuffix(OURS))
        for run in schedules(server)
    ]  # fmt: skip
    for line in grid(sorted(rows)):
        click.echo(line)
    if not rows:
        click.echo(f"{server.host} has no schedules made here")


def _connect(
    host: str, namespace: str | None, token_file: Path | None, cookie_file: Path | None, headers: tuple[str, ...],
    ca: Path | None, **_: object,
) -> "Server":  # fmt: skip
    from pipeline.kubeflow.cluster import Server
    from pipeline.kubeflow.login import Login, read_headers

    variable = "FASHION_KUBEFLOW_TOKEN"
    login = Login(token_file, os.environ.get(variable), cookie_file, read_headers(headers), variable)
    return Server(host, namespace, login, ca)


@contextmanager
def _order(
    package: Path | None, recipe: str | None, image: str | None, overrides: tuple[str, ...],
    parameters: tuple[str, ...], experiment: str | None, service_account: str | None, **given: Any,
) -> Iterator["Order"]:  # fmt: skip
    """Gives what is to be run; a package that is compiled for it is there as long as this is open."""
    if (package is None) == (recipe is None):
        raise click.UsageError("Give --package, or --recipe with --image.")
    from pipeline.kubeflow.target import Cluster

    known = {field.name for field in fields(Cluster)}
    cluster = Cluster(**{name: value for name, value in given.items() if name in known})
    if package and (image or overrides or cluster != Cluster()):
        raise click.UsageError(
            "--image, --set, --pvc and all else that is said of the cluster go with --recipe: a package has them in it."
        )
    if recipe and not image:
        raise click.UsageError("--recipe needs --image: the container image that its tasks run in.")
    from pipeline.kubeflow.package import read_package
    from pipeline.kubeflow.submit import Order

    with tempfile.TemporaryDirectory() as folder:
        if recipe and image:
            package = Path(folder) / f"{Path(recipe).stem}.yaml"
            from pipeline.kubeflow.compiler import compile_package
            from pipeline.recipe import load_recipe

            compile_package(load_recipe(recipe, overrides), image, package, cluster)
        content = read_package(Path(str(package)))
        yield Order(content, content.arguments(parameters), experiment or content.name, service_account)
