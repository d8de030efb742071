"""An experiment as it was read at the door: what its files hold is not looked at again while it runs."""

import json
from dataclasses import dataclass
from pathlib import Path

from components.digest import content_digest
from components.ingest.catalogue import open_catalogue
from components.ingest.corrections import read_corrections
from components.ingest.formats import open_tables
from components.ingest.judge import IngestSettings
from components.ingest.labels import taxonomies_of
from components.ingest.split import check_split
from components.networks.profiles import weights_path
from components.train.earlier import check_earlier
from components.transform.taxonomy import Taxonomy, load_taxonomy
from components.validate.settings import find_schema
from pipeline.beam import beam_args
from pipeline.paths import Paths
from pipeline.recipe import Recipe


@dataclass(frozen=True)
class Experiment:
    """A recipe on a catalogue, with all that they name."""

    recipe: Recipe
    paths: Paths
    # What assigns the classes; `tags` assign those of further columns, in the order of `taxonomies_of`.
    taxonomy: Taxonomy
    catalogue: str  # digest of the catalogue
    schema: Path  # the reviewed schema's file; `schema_digest` is that of its content
    schema_digest: str
    weights: str  # digest of the file or folder that `model.weights` names; "" where it names none
    corrections: str = ""  # likewise, of the file that `labels.corrections` names
    tags: tuple[Taxonomy, ...] = ()

    @property
    def store(self) -> Path:
        """The folder that versions of its model are published in."""
        return self.paths.serving / self.recipe.name

    def record(self) -> str:
        """What the metadata keep of it, as JSON; `read_experiment` and the report take it."""
        return json.dumps(
            {
                "recipe": self.recipe.as_yaml(),
                "taxonomy": self.taxonomy.model_dump(mode="json"),
                "tags": [tag.model_dump(mode="json") for tag in self.tags],
                "data": str(self.paths.data),
                "catalogue": self.catalogue,
            }
        )


def check_experiment(recipe: Recipe) -> None:
    """Refuses what can be seen to be wrong without the catalogue.

    Raises:
        RecipeError: the recipe names a schema, taxonomy, file of corrections or place to run that there is not.
        WeightsError: there are no such weights.
    """
    beam_args(recipe.beam)
    find_schema(recipe.validation.schema_file)
    check_earlier(recipe.model)
    if recipe.labels.taxonomy:
        load_taxonomy(recipe.labels.taxonomy)
    if recipe.labels.corrections:
        read_corrections(Path(recipe.labels.corrections))


def read_experiment(recipe: Recipe, paths: Paths, record: str = "") -> Experiment:
    """Reads everything that a recipe names, the catalogue included, once.

    `record` is of the same run, as an earlier process read it: the catalogue may be another by now.

    Raises:
        RecipeError: see `check_experiment`; or the catalogue lacks the split that the recipe wants.
        CatalogueError: the catalogue cannot be read, or lacks a column.
    """
    check_experiment(recipe)
    if record:
        known = json.loads(record)
        taxonomies = tuple(
            Taxonomy.model_validate_json(json.dumps(each)) for each in (known["taxonomy"], *known["tags"])
        )
        digest = known["catalogue"]
    else:
        catalogue = open_catalogue(str(paths.data), recipe.catalogue)
        check_split(recipe.split, catalogue)
        taxonomies, digest = taxonomies_of(recipe.labels, paths.data, recipe.catalogue), catalogue.digest()
        settings = IngestSettings(catalogue=recipe.catalogue, split=recipe.split, outside=recipe.outside)
        needed = (column for each in taxonomies for column in each.fields)
        open_tables(catalogue, (*needed, *settings.kept))  # which says what columns are missing
    schema = find_schema(recipe.validation.schema_file)
    weights = weights_path(recipe.model.backbone, recipe.model.weights)
    start, corrections = (content_digest(Path(file)) if file else "" for file in (weights, recipe.labels.corrections))
    main, *tags = taxonomies
    return Experiment(recipe, paths, main, digest, schema, content_digest(schema), start, corrections, tuple(tags))


def unread_experiment(recipe: Recipe, paths: Paths) -> Experiment:
    """Stands for an experiment in a package: what it names is elsewhere, and the graph's nodes do not depend on it."""
    taxonomy = load_taxonomy(recipe.labels.taxonomy or "six_class")
    schema = find_schema(recipe.validation.schema_file)
    return Experiment(recipe, paths, taxonomy, "", schema, content_digest(schema), "")
