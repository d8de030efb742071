"""The graph of the Transform component: label and number of uses for each example; the picture keeps its bytes."""

from collections.abc import Iterable
from functools import reduce

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
from pydantic import TypeAdapter

from components.features import ID, IMAGE_BYTES, KIND, LABEL, REPEAT, label_of_column
from components.transform.balance import Hashes, Tally
from components.transform.settings import Balance
from components.transform.taxonomy import NO_LABEL, Conditions, Rule, Taxonomy
from components.transform.words import substitutions

CLASSES = "classes"  # name of the vocabulary: one class a line, in the order of the labels

Texts = dict[str, tf.Tensor]


def preprocessing_fn(
    inputs: dict[str, tf.Tensor | tf.SparseTensor], custom_config: dict[str, str]
) -> dict[str, tf.Tensor]:
    """Gives each example its label and says how often training uses it.

    The class list becomes the vocabulary `CLASSES` of the transform graph.

    Args:
        inputs: the features ingest wrote; `id` and `image_bytes`, and those of the text columns the schema knows, all
            strings, one value an example. A missing text is an absent value.
        custom_config: "taxonomy", "tags" and "balance": a `Taxonomy`, a list of those of further columns, and a
            `Balance`, as JSON; "kind": the column that says what a product of no class is, "" for none. Other keys
            only make the cache see changes.

    Returns:
        `id` and `image_bytes` as they came, string [n]; `label` int64 [n], -1 for an example of no class, and for each
        further column `<column>_label` likewise; `repeat` int64 [n], balanced over the data that was analysed and 0
        for an example of no class. Only training heeds it. Where there is such a column also `kind`, its text, and
        likewise the column "text" under its own name, "" where it is missing.
    """
    taxonomy = Taxonomy.model_validate_json(custom_config["taxonomy"])
    tags = TypeAdapter(list[Taxonomy]).validate_json(custom_config["tags"])
    balance = Balance.model_validate_json(custom_config["balance"])
    ids = _dense(inputs[ID])
    read = {column for each in (taxonomy, *tags) for column in each.fields if column in inputs}
    texts = {column: _dense(inputs[column]) for column in sorted(read)}
    label = label_of(taxonomy, texts, ids)
    _write_classes(taxonomy, label)
    transformed = {
        ID: ids,
        IMAGE_BYTES: _dense(inputs[IMAGE_BYTES]),
        LABEL: label,
        **{label_of_column(tag.name): label_of(tag, texts, ids) for tag in tags},
        REPEAT: _repeat(label, ids, len(taxonomy.classes), balance),
    }
    kind = custom_config.get("kind")
    if text := custom_config.get("text"):
        transformed[text] = _dense(inputs[text]) if text in inputs else tf.zeros_like(ids)
    return transformed | ({KIND: _dense(inputs[kind]) if kind in inputs else tf.zeros_like(ids)} if kind else {})


def label_of(taxonomy: Taxonomy, texts: Texts, like: tf.Tensor) -> tf.Tensor:
    """Applies a taxonomy in the graph, with the same result as `Taxonomy.class_of`.

    `texts` are column to string [n], empty where missing; a column may be absent. `like` is any tensor [n].

    Returns:
        int64 [n], indices of classes; -1 for none.
    """
    if taxonomy.column:
        return _looked_up(texts.get(taxonomy.column, tf.zeros_like(like)), taxonomy)

    def apply(label: tf.Tensor, rule: Rule) -> tf.Tensor:
        return tf.where(_matches(rule, texts, like), tf.constant(taxonomy.index_of(rule.class_name), tf.int64), label)

    texts = {column: in_words(texts[column]) for column in taxonomy.fields if column in texts}
    nothing = tf.fill(tf.shape(like), tf.constant(NO_LABEL, tf.int64))
    return reduce(apply, reversed(taxonomy.rules), nothing)


def _looked_up(text: tf.Tensor, taxonomy: Taxonomy) -> tf.Tensor:
    values, classes = zip(*taxonomy.values.items(), strict=True)
    found = tf.equal(text[:, tf.newaxis], tf.constant(values))
    label = tf.gather(tf.constant([taxonomy.index_of(name) for name in classes], tf.int64), tf.argmax(found, axis=1))
    return tf.where(tf.reduce_any(found, axis=1), label, tf.constant(NO_LABEL, tf.int64))


def _matches(rule: Rule, texts: Texts, like: tf.Tensor) -> tf.Tensor:
    met = reduce(tf.logical_and, _found(rule, texts, like))
    return reduce(lambda all_met, ruled_out: all_met & ~ruled_out, _found(rule.unless, texts, like), met)


def _found(conditions: Conditions, texts: Texts, like: tf.Tensor) -> list[tf.Tensor]:
    nowhere = tf.zeros_like(like, tf.bool)
    return [
        _contains(texts[column], pattern) if column in texts else nowhere
        for column, pattern in conditions.patterns.items()
    ]


def in_words(text: tf.Tensor) -> tf.Tensor:
    """Cuts texts, string [n], into words as `components.transform.words.in_words` does."""
    text = tf.strings.join([" ", text, " "])
    for pattern, replacement in substitutions():
        text = tf.strings.regex_replace(text, pattern, replacement)
    return text


def _contains(text: tf.Tensor, pattern: str) -> tf.Tensor:
    # A full match around the pattern would need `.`, which in RE2 does not match bytes that are not UTF-8.
    rest = tf.strings.regex_replace(text, pattern, "", replace_global=False)
    return tf.strings.length(rest) < tf.strings.length(text)


def _write_classes(taxonomy: Taxonomy, label: tf.Tensor) -> None:
    # Only the reserved tokens matter: they come first and in their own order.
    names = tf.gather(tf.constant(taxonomy.classes), tf.maximum(label, 0))
    tft.vocabulary(names, vocab_filename=CLASSES, reserved_tokens=list(taxonomy.classes))


def _repeat(label: tf.Tensor, ids: tf.Tensor, classes: int, balance: Balance) -> tf.Tensor:
    hashes = tf.strings.to_hash_bucket_fast(ids, tf.int64.max)
    base, threshold = tft.experimental.ptransform_analyzer(
        inputs=[label, hashes],
        ptransform=Quotas(classes, balance.cap, balance.oversample),
        output_dtypes=[tf.int64, tf.int64],
        output_shapes=[[classes], [classes]],
        name="balance",
    )
    known = tf.maximum(label, 0)
    uses = tf.gather(base, known) + tf.cast(hashes <= tf.gather(threshold, known), tf.int64)
    return tf.where(label == NO_LABEL, tf.zeros_like(uses), uses)


def _dense(feature: tf.Tensor | tf.SparseTensor) -> tf.Tensor:
    """String [n], with "" for an absent value."""
    if isinstance(feature, tf.SparseTensor):
        # The dense shape spans the most values any example of the batch has, which is 0 when all are absent.
        one_each = tf.SparseTensor(feature.indices, feature.values, [feature.dense_shape[0], 1])
        feature = tf.sparse.to_dense(one_each, default_value="")
    return tf.reshape(feature, [-1])


class _TallyFn(beam.CombineFn):
    def __init__(self, classes: int, keep: int) -> None:
        self._classes = classes
        self._keep = keep

    def create_accumulator(self) -> Tally:
        return Tally(self._classes, self._keep)

    def add_input(self, tally: Tally, batch: tuple[Hashes, Hashes]) -> Tally:
        labels, hashes = batch
        tally.add(labels.reshape(-1), hashes.reshape(-1))
        return tally

    def merge_accumulators(self, tallies: Iterable[Tally]) -> Tally:
        merged = self.create_accumulator()
        for tally in tallies:
            merged.merge(tally)
        return merged

    def extract_output(self, tally: Tally) -> Tally:
        return tally


class Quotas(beam.PTransform):
    """Analyzer for `tft.experimental.ptransform_analyzer`: batches of (label, hash) to base and threshold by class.

    Memory is bounded by max(cap, oversample) hashes a class, however large the data set.
    """

    def __init__(self, classes: int, cap: int | None, oversample: int | None) -> None:
        super().__init__()
        self._classes = classes
        self._cap = cap
        self._oversample = oversample

    @beam.typehints.decorators.no_annotations  # Beam takes a tuple for a mistake and logs it
    def expand(self, batches: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        """Applies the analyzer; each output holds a single int64 array [classes]."""
        cap, oversample = self._cap, self._oversample
        tally = _TallyFn(self._classes, keep=max(cap or 0, oversample or 0))
        quotas = (
            batches | "Tally" >> beam.CombineGlobally(tally) | "Quotas" >> beam.Map(lambda t: t.quotas(cap, oversample))
        )
        return quotas | "Base" >> beam.Map(lambda q: q[0]), quotas | "Threshold" >> beam.Map(lambda q: q[1])
