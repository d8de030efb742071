"""Which of the project's recipes take a catalogue as it is."""

from collections import Counter
from dataclasses import dataclass

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.errors import FashionError
from components.features import ID
from components.ingest.labels import taxonomy_of_values
from components.ingest.settings import PICTURE
from components.inspect.inspection import Inspection
from components.transform.taxonomy import load_taxonomy
from components.validate.settings import find_schema
from pipeline.recipe import Recipe, load_recipe, recipe_names


@dataclass(frozen=True)
class Fit:
    """How many classes and products a recipe has in a catalogue; `obstacle`, why it does not take it, "" if it does."""

    recipe: str
    classes: int = 0
    products: int = 0
    obstacle: str = ""


def fits_of(inspection: Inspection) -> list[Fit]:
    """Compares a catalogue with each recipe of the project, those of publications and of the drawn catalogue aside."""
    names = [name for name in recipe_names() if not name.endswith("_published") and name != "quickstart"]
    return [_fit(load_recipe(name), inspection) for name in names]


def _fit(recipe: Recipe, inspection: Inspection) -> Fit:
    labels = recipe.labels
    fields = load_taxonomy(labels.taxonomy).fields if labels.taxonomy else (str(labels.column),)
    fields += tuple(labels.columns)
    if obstacle := _unread(recipe, fields, inspection) or _vocabulary(recipe, fields, inspection):
        return Fit(recipe.name, obstacle=obstacle)
    if labels.taxonomy:
        counts, classes = inspection.rows.classes[labels.taxonomy], load_taxonomy(labels.taxonomy).classes
    else:
        values = inspection.rows.labels.get(str(labels.column), Counter())
        try:
            taxonomy = taxonomy_of_values(labels.column or "articleType", labels, values)
        except FashionError as error:
            return Fit(recipe.name, obstacle=str(error))
        counts, classes = Counter[str](), taxonomy.classes
        for value, name in taxonomy.values.items():
            counts[name] += values[value]
    products = sum(counts[name] for name in classes)
    least = recipe.validation.class_minimum * 100 // recipe.split.train
    scarce = [name for name in classes if counts[name] < (1 if recipe.validation.scarce == "note" else least)]
    if scarce:
        return Fit(recipe.name, len(classes), products, f"too few products of {', '.join(scarce[:3])}")
    if products < (1 - recipe.validation.unmapped) * inspection.rows.all:
        return Fit(recipe.name, len(classes), products, "most products are of none of its classes")
    return Fit(recipe.name, len(classes), products)


def _unread(recipe: Recipe, fields: tuple[str, ...], inspection: Inspection) -> str:
    """What a run with this recipe would not find by itself."""
    if recipe.split.by == "given" and not inspection.catalogue.has_parts:
        return "it needs a catalogue with a test part of its own"
    layout = inspection.layout
    for role in (ID, *fields):
        if role not in inspection.roles:
            return f"no column is {role}"
        if role in layout.columns:
            return f"it does not know that {inspection.roles[role]} is {role}"
    if layout.table:
        return f"it does not know that {layout.table} is the table"
    if layout.picture or PICTURE in layout.columns:
        return "it does not know how to find the pictures"
    return ""


def _vocabulary(recipe: Recipe, fields: tuple[str, ...], inspection: Inspection) -> str:
    """Which values are not those that the recipe's schema was made for."""
    file = find_schema(recipe.validation.schema_file)
    schema = text_format.Parse(file.read_text(encoding="utf-8"), schema_pb2.Schema())
    domains = {domain.name: set(domain.value) for domain in schema.string_domain}
    for feature in schema.feature:
        counts = inspection.rows.labels.get(feature.name)
        if feature.name not in fields or not counts or feature.domain not in domains:
            continue
        unknown = [value for value in counts if value not in domains[feature.domain]]
        mass = feature.distribution_constraints.min_domain_mass or 1.0
        if sum(counts[value] for value in unknown) > (1 - mass) * counts.total():
            shown = ", ".join(sorted(unknown, key=lambda value: -counts[value])[:3])
            return f"its schema does not know {shown} in {feature.name}"
    return ""
