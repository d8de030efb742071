"""The errors a user can cause or fix. Anything else that is raised is a bug and keeps its traceback."""

from collections.abc import Iterator


class FashionError(Exception):
    """Names the thing, the rule it broke and the remedy. The command prints it and exits with `exit_code`.

    Attributes:
        passing: whether the same may succeed a little later although nobody has fixed anything.
    """

    exit_code = 1
    passing = False


class RecipeError(FashionError):
    """A recipe, an override or a taxonomy says something it may not."""

    exit_code = 2


class CatalogueError(FashionError):
    """The catalogue as a whole cannot be read: wrong path, unreadable zip, missing column or folder."""

    exit_code = 3


class DataRefused(FashionError):
    """The catalogue was read, and validation found it unfit to train on."""

    exit_code = 4


class ModelRefused(FashionError):
    """The model was trained, and the evaluation found it unfit to be published."""

    exit_code = 5


class WeightsError(FashionError):
    """Pretrained weights cannot be had, or do not fit the backbone."""

    exit_code = 6
    passing = True


class PublishError(FashionError):
    """An approved model could not be put where it is served from."""

    exit_code = 7
    passing = True


class MetadataError(FashionError):
    """The database that remembers runs cannot be reached, opened or written."""

    exit_code = 8
    passing = True


class ClusterError(FashionError):
    """Kubeflow Pipelines cannot be reached or refuses what is asked of it, or a run there did not succeed."""

    exit_code = 9


class AnswerError(FashionError):
    """Answers about pictures cannot be had from a model or a server, or cannot be written."""

    exit_code = 10


class ExportError(FashionError):
    """A model cannot be had in another format, or the copy does not answer as the model does."""

    exit_code = 13


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error itself and what lies behind it, the nearest first: Beam and TFX put their own around what is raised."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
