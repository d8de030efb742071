"""The `fashion` command."""

import click

from pipeline.commands.batch import batch
from pipeline.commands.models import models
from pipeline.commands.schedule import schedule, submit
from pipeline.commands.serve import serve
from pipeline.commands.training import catalogue, recipes, run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fashion-pipeline", prog_name="fashion")
def main() -> None:
    """From a fashion catalogue to an image classifier you can trust in production.

    \b
      fashion run                                   try it on a drawn catalogue
      fashion run --recipe six_class --data DIR     your catalogue: styles.csv + images/
      fashion recipes                               what can be trained
    """


for command in (run, recipes, catalogue, serve, batch, models, submit, schedule):
    main.add_command(command)

if __name__ == "__main__":
    main()
