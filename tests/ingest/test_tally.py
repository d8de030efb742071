"""What is counted of the rows, and the lists of those that were left out."""

import pytest

from components.ingest.catalogue import open_catalogue
from components.ingest.faults import Reason
from components.ingest.judge import IngestSettings, judge
from components.ingest.table import Row, read_rows
from components.ingest.tally import Tally, merged
from components.settings import SPLITS
from components.transform.taxonomy import load_taxonomy
from tests.data.faults import draw, encode, good_rows, write_catalogue


@pytest.mark.parametrize("parts", [1, 3])
def test_broken_pictures_are_counted_by_the_class_that_they_would_have_had(tmp_path, parts):
    taxonomy, lines = load_taxonomy("six_class"), good_rows(12)
    images = {line.split(",")[0]: encode(draw(seed=number)) for number, line in enumerate(lines)}
    images |= {"1000": b"", "1006": b"not a picture"}
    folder = write_catalogue(tmp_path / "catalogue", [*lines, "x,too,few"], images)
    catalogue, tallies = open_catalogue(str(folder)), [Tally() for _ in range(parts)]
    for number, row in enumerate(read_rows(catalogue, taxonomy.fields)):
        outcome = judge(row, catalogue, taxonomy, IngestSettings()) if isinstance(row, Row) else row
        tallies[number % parts].add(outcome)
    tally = merged(tallies)
    summary = tally.summary(taxonomy.classes, SPLITS, {})
    assert summary["class_quarantined"] == {"topwear": 2}
    assert summary["quarantined"] == {Reason.BAD_ROW: 1, Reason.EMPTY_PICTURE: 1, Reason.NOT_A_PICTURE: 1}
    assert (tally.examples.total(), tally.rows) == (10, 13)
    assert tally.quarantine_csv().count("\n") == 1 + 3
