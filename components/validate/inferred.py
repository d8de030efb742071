"""A schema of a catalogue's own, inferred from its table by TFDV."""

from collections.abc import Iterable
from typing import Any

import pyarrow
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import schema_pb2

from components.features import TEXT_COLUMNS
from components.ingest.table import Row
from components.validate.settings import find_schema

# As schema.pbtxt: one odd row in seven passes, so that a small split is not refused for one of its ten rows.
_TOLERANCE = 0.85


def infer_schema(rows: Iterable[Row], label: str) -> schema_pb2.Schema:
    """Infers what the columns of a catalogue may hold; `label` is the one with the classes.

    Features that ingest makes, types and comparators are those of `schema/open.pbtxt`. The label's column is closed on
    the values that it has. Another with few different values, as TFDV judges it, may have 15 % unknown ones.
    """
    columns: dict[str, list[Any]] = {name: [] for name in TEXT_COLUMNS}
    for row in rows:
        for name, values in columns.items():
            values.append([row.fields[name].encode()] if name in row.fields else None)
    there = {name: values for name, values in columns.items() if any(values)}
    table = pyarrow.table(there, pyarrow.schema([(name, pyarrow.list_(pyarrow.binary())) for name in there]))
    [batch] = table.combine_chunks().to_batches()
    inferred = tfdv.infer_schema(generate_statistics_in_memory(batch, tfdv.StatsOptions()))
    domains = {domain.name: domain.value for domain in inferred.string_domain}
    domains[label] = sorted({value[0].decode() for value in there[label] if value})
    schema = text_format.Parse(find_schema("open").read_text(encoding="utf-8"), schema_pb2.Schema())
    for feature in schema.feature:
        if feature.name in there and feature.name in domains:
            schema.string_domain.add(name=feature.name, value=sorted(domains[feature.name]))
            feature.domain = feature.name
            feature.presence.min_fraction, feature.presence.min_count = _TOLERANCE, 1
            if feature.name != label:
                feature.distribution_constraints.min_domain_mass = _TOLERANCE
    return schema
