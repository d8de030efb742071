"""`fashion compile`, and the commands that the tasks of a compiled package run: `fashion node`, `fashion verdict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands import PATH, RECIPE, Command, shared_options
from pipeline.commands.training import EXIT_CODES, metadata_option, set_option

if TYPE_CHECKING:
    from pipeline.paths import Paths
    from pipeline.recipe import Recipe

_run_options = shared_options(
    click.option("--run-id", required=True, help="Names the run; the same for all its nodes."),
    click.option(
        "--recipe",
        type=RECIPE,
        required=True,
        help="A recipe's name, the path of a YAML file, or what a package holds.",
    ),
    click.option("--data", type=PATH, required=True, help="The catalogue: a folder or zip."),
    click.option("--root", type=PATH, required=True, help="Everything a run writes lies below it."),
    metadata_option,
)


@click.command(cls=Command, epilog=EXIT_CODES)
@click.option("--node", required=True, help="A stage of the pipeline, e.g. train.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    help="How often a cluster starts this again when it fails; what a person has to fix is only said again then.",
)
@click.option("--show-log", is_flag=True, help="Show what TFX and other libraries log, too, where its file is far.")
@_run_options
def node(node: str, retries: int, show_log: bool, run_id: str, **given: Any) -> None:
    """Run one stage of a run in a process of its own. Each task on Kubeflow does.

    Its inputs are what the same run's earlier stages left. The same command again finishes what was killed, and does
    nothing where the stage has been done.

    \b
      fashion node --node ingest --run-id monday --recipe six_class --data shop/
      fashion node --node schema --run-id monday --recipe six_class --data shop/
    """
    from pipeline.node import run_node

    run_node(*_experiment(**given), node, run_id, retries, show_log)


@click.command(cls=Command, epilog=EXIT_CODES)
@_run_options
def verdict(run_id: str, **given: Any) -> None:
    """Tell how a run made of `fashion node` ended. It shows each stage, the table per class and the verdict.

    It is kept in logs/RUN-ID/verdict.txt below the root, and the exit code is that of the run.

    \b
      fashion verdict --run-id monday --recipe six_class --data shop/ --root runs
    """
    from pipeline.verdict import tell_verdict

    tell_verdict(*_experiment(**given), run_id)


def _experiment(recipe: str, data: Path, root: Path, database: str | None) -> "tuple[Recipe, Paths]":
    from pipeline.kubeflow.packing import is_packed, unpack
    from pipeline.paths import Paths
    from pipeline.recipe import load_recipe

    paths = Paths(data.absolute(), root.absolute(), database)
    return unpack(recipe, paths.packed) if is_packed(recipe) else load_recipe(recipe), paths


# What a package says of the cluster that it is for.
cluster_options = shared_options(
    click.option("--pvc", help="Volume claim that every task mounts; it holds catalogue, artifacts and models."),
    click.option("--mount", default="/data", help="Where the claim is mounted."),
    click.option(
        "--metadata-secret", help="Secret that has the metadata database's password under the key `password`."
    ),
    click.option(
        "--pull-policy", type=click.Choice(["Always", "IfNotPresent", "Never"]), help="When to pull the image."
    ),
    click.option("--pull-secret", "pull_secrets", multiple=True, help="Secret to pull the image with. Repeatable."),
    click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable of every task. Repeatable."),
    click.option(
        "--env-secret", "env_secrets", multiple=True, metavar="NAME=SECRET/KEY", help="The same, kept in a secret."
    ),
)


@click.command("compile", cls=Command)
@click.option("--target", type=click.Choice(["kubeflow", "vertex"]), default="kubeflow")
@click.option(
    "--recipe",
    type=RECIPE,
    required=True,
    help="A recipe's name, or the path of a YAML file. It travels in the package.",
)
@set_option
@click.option("--image", required=True, help="This project's container image, e.g. registry.example.com/fashion:1.4.")
@click.option("--out", type=PATH, required=True, help="The package to write, .yaml.")
@click.option("--data", help="Default of the package's parameter `data`: the catalogue in the container.")
@click.option("--root", help="Default of `root`: the folder that everything is written below.")
@click.option("--metadata", help="Default of `metadata`: the database's URL, without a password.")
@cluster_options
def compile_(target: str, recipe: str, overrides: tuple[str, ...], image: str, out: Path, **cluster: Any) -> None:
    """Write the pipeline as a package for Kubeflow Pipelines. It has a task for each stage.

    What a task needs is said in the recipe, under `kubeflow`: cpu, memory, node_selector, tolerations and retries for
    all (`default`) or one (`nodes.train`), an accelerator for one.

    \b
      fashion compile --recipe six_class --out fashion.yaml \\
          --image registry.example.com/fashion:1.4 \\
          --pvc fashion --data /data/catalogue --root /data/runs \\
          --metadata mysql://fashion@mysql:3306/fashion \\
          --metadata-secret fashion-metadata \\
          --set "kubeflow.nodes.train.accelerator={type: nvidia.com/gpu}"

    The account that tasks run as is given with `fashion submit --service-account`: a package cannot hold it.
    With --target vertex TFX's own runner compiles for Vertex AI, as far as it goes, and what it leaves out is said.
    """
    from pipeline.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    if target == "kubeflow":
        from pipeline.kubeflow.compiler import compile_package
        from pipeline.kubeflow.target import Cluster

        compile_package(loaded, image, out, Cluster(**cluster))
    else:
        from pipeline.kubeflow.vertex import compile_for_vertex

        for said in compile_for_vertex(loaded, image, out, cluster["data"], cluster["root"]):
            click.echo(f"left out: {said}")
    click.echo(f"wrote {out}")
