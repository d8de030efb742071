"""The artifacts that TFX has no standard type for."""

from tfx.types.artifact import Artifact


class Quarantine(Artifact):
    """What ingest left out, and why.

    `quarantine.csv`: row, id, reason, detail, one line for each row that could not be used.
    `unmapped.csv`: row, id, masterCategory, subCategory, articleType, one line for each row outside the taxonomy.
    `summary.json`: counts of rows, examples by split and class, repaired by kind, quarantined by
    reason, unmapped by article type, of near-identical pictures, and of examples that are outside the taxonomy.
    `members.parquet`: which products are in which split, see `components.ingest.members`.
    """

    TYPE_NAME = "Quarantine"


class ProductIndex(Artifact):
    """What an index of the catalogue came to, see `components.index.summary`."""

    TYPE_NAME = "ProductIndex"


class ModelCopies(Artifact):
    """`copies.json`: which copies of a model were published or refused, see `components.export.copies`."""

    TYPE_NAME = "ModelCopies"


class DataVerdict(Artifact):
    """`verdict.json`: that the data passed validation, with the figures it was judged by."""

    TYPE_NAME = "DataVerdict"


class OutsideAssessment(Artifact):
    """`outside.json`: how a model decides about products of the classes and of none, see `components.outside`."""

    TYPE_NAME = "OutsideAssessment"
