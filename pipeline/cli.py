"""The `fashion` command."""

import click

from pipeline.commands.audit import audit
from pipeline.commands.batch import batch
from pipeline.commands.doctor import doctor
from pipeline.commands.explain import explain
from pipeline.commands.export import export
from pipeline.commands.inspect import inspect
from pipeline.commands.kubeflow import compile_, node, verdict
from pipeline.commands.models import models
from pipeline.commands.monitor import feedback, monitor
from pipeline.commands.predict import embed, predict
from pipeline.commands.report import report, runs
from pipeline.commands.results import results
from pipeline.commands.retrain import retrain
from pipeline.commands.schedule import schedule, submit
from pipeline.commands.search import index, similar
from pipeline.commands.serve import serve
from pipeline.commands.training import catalogue, recipes, run

COMMANDS = {
    "Train": (doctor, inspect, run, retrain, recipes, catalogue),
    "Look": (runs, report, audit, results, monitor, feedback),
    "Serve": (serve, models, export),
    "Ask": (predict, explain, embed, batch, index, similar),
    "Kubeflow": (compile_, submit, schedule, node, verdict),
}


class _Sections(click.Group):
    """Lists commands by what people want done, in place of one alphabet."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(each.name or "", each.get_short_help_str(limit=70)) for each in commands])


@click.group(
    cls=_Sections,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
)
@click.version_option(package_name="fashion-pipeline", prog_name="fashion")
def main() -> None:
    """From a fashion catalogue to an image classifier you can trust in production.

    \b
      fashion run                        try it on a drawn catalogue
      fashion inspect DIR --draft mine   your own: what it holds, and a recipe
      fashion run --recipe mine/recipe.yaml --data DIR
      fashion report --open              look at its report
      fashion serve                      answer over REST and gRPC
      fashion predict IMAGE              what is in this picture?
    """


for commands in COMMANDS.values():
    for command in commands:
        main.add_command(command)

if __name__ == "__main__":
    main()
