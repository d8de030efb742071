"""How far can the labels be trusted? They are held against the products' own names, and beside a model's mistakes.

    python -m benchmarks.label_noise --data archive.zip --report runs/reports/RUN

A product whose name says one class of the recipe ("Lotto Women Virtue Pink Sandal") and whose label is another (Flats)
is mislabelled, or on a border that the shop itself does not draw. Names that say no class say nothing of their label:
shares are of those that say one. Counted on the test split of a finished run, whose mistakes are known.
"""

import argparse
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import percent, show
from components.features import NAME
from components.ingest.catalogue import open_catalogue
from components.ingest.labels import taxonomy_of
from components.ingest.table import Row, read_rows
from pipeline.recipe import load_recipe

_ENDINGS = (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("ss", "ss"), ("s", ""))  # of plurals
_ALL = "all"


@dataclass(frozen=True)
class Named:
    """One test product.

    Attributes:
        label: its class, by the recipe.
        said: the classes that its name says, the label not among them; empty if the name agrees.
        silent: whether its name says no class at all.
        answer: what the model says.
    """

    label: str
    said: tuple[str, ...]
    silent: bool
    answer: str


def words_of(text: str) -> list[str]:
    """The words of a name in small letters and the singular, `T-Shirts` as `tshirt`."""
    words = re.findall(r"[a-z]+", text.lower().replace("t-shirt", "tshirt"))
    return [_singular(word) for word in words]


def _singular(word: str) -> str:
    found = next(((end, other) for end, other in _ENDINGS if word.endswith(end) and len(word) > 3), ("", ""))
    return word.removesuffix(found[0]) + found[1]


def said_in(name: str, classes: Mapping[str, Sequence[str]]) -> set[str]:
    """The classes whose words stand in a name, in their order and beside each other.

    Args:
        name: of a product.
        classes: name of a class to its words.
    """
    words = words_of(name)
    return {
        each
        for each, needed in classes.items()
        if any(words[start : start + len(needed)] == needed for start in range(len(words)))
    }


def named_products(data: Path, report: Path) -> list[Named]:
    """The test products of a run, from the catalogue and the run's report."""
    from components.report.predictions import load_predictions
    from components.report.reading import PREDICTIONS_FILE

    recipe, predictions = load_recipe(str(report / "recipe.yaml")), load_predictions(report / PREDICTIONS_FILE)
    taxonomy = taxonomy_of(recipe.labels, data)
    classes = {each: words_of(each) for each in taxonomy.classes}
    answers = {
        product: taxonomy.classes[best]
        for product, best in zip(predictions.ids.tolist(), predictions.probabilities.argmax(1), strict=True)
    }
    found = []
    for row in read_rows(open_catalogue(str(data)), [*taxonomy.fields, NAME]):
        if not isinstance(row, Row) or row.id not in answers or not (label := taxonomy.class_of(row.fields)):
            continue
        said = said_in(row.fields.get(NAME, ""), classes)
        found.append(Named(label, () if label in said else tuple(sorted(said)), not said, answers[row.id]))
    return found


def rows_of(products: Sequence[Named]) -> list[list[str]]:
    """The rows of the table: all together, then each class that some name contradicts, the most often first."""
    against = Counter(product.label for product in products if product.said)
    return [_row(_ALL, products)] + [
        _row(label, [product for product in products if product.label == label])
        for label, _ in sorted(against.items(), key=lambda each: (-each[1], each[0]))
    ]


def _row(label: str, products: Sequence[Named]) -> list[str]:
    telling = [product for product in products if not product.silent]
    other = [product for product in telling if product.said]
    wrong = [product for product in products if product.answer != product.label]
    most = Counter(each for product in other for each in product.said).most_common(1)
    return [
        label, f"{len(products):,}", f"{len(telling):,}", f"{len(other):,}",
        percent(len(other) / len(telling)) if telling else "–",
        "" if label == _ALL or not most else f"{most[0][0]} ({most[0][1]})",
        f"{len(wrong):,}", f"{sum(bool(product.said) for product in wrong):,}",
    ]  # fmt: skip


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the catalogue that the run was on")
    parser.add_argument("--report", type=Path, required=True, help="folder of the run's report: runs/reports/RUN")
    options = parser.parse_args()
    show(
        "Labels that the product's own name contradicts, on the test split",
        ("label", "products", "name says a class", "another", "share", "most often", "mistakes", "of these, another"),
        rows_of(named_products(options.data, options.report)),
    )


if __name__ == "__main__":
    main()
