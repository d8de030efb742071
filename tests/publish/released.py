"""`fashion models` as it is given, and the config that it leaves."""

from pathlib import Path

from click.testing import CliRunner
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from pipeline.commands.models import models
from serving.config_file import CONFIG

MODEL = "six_class"


def run(serving: Path, *arguments: object, code: int = 0) -> str:
    """Gives a command; what it printed."""
    result = CliRunner().invoke(models, [arguments[0], "--serving", str(serving), *map(str, arguments[1:])])
    assert result.exit_code == code, result.output
    return result.output


def config(serving: Path) -> ModelServerConfig:
    """What a server would read."""
    return text_format.Parse((serving / CONFIG).read_text(), ModelServerConfig())


def entry(serving: Path) -> tuple[list[int], dict[str, int]]:
    """Versions and labels of the model."""
    [only] = [each for each in config(serving).model_config_list.config if each.name == MODEL]
    return sorted(only.model_version_policy.specific.versions), dict(only.version_labels)
