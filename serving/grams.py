"""What a model reads of a product's name: hashed runs of letters and of words, alike in training and when published."""

import tensorflow as tf

BUCKETS = 1 << 14

_LETTERS, _WORDS = (3, 4, 5), (1, 2)


def logits_of(kernel: tf.Tensor, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads names.

    Args:
        kernel: float32 [BUCKETS, k], what each piece says for each class.
        text: string [n], UTF-8; "" where there is none.

    Returns:
        Logits float32 [n, k], and whether there was anything to read, bool [n].
    """
    pieces = _pieces(text)
    count = tf.cast(pieces.row_lengths(), tf.float32)
    sums = tf.math.unsorted_segment_sum(tf.gather(kernel, pieces.flat_values), pieces.value_rowids(), tf.size(text))
    return sums / tf.sqrt(tf.maximum(count, 1))[:, tf.newaxis], count > 0


def _pieces(text: tf.Tensor) -> tf.RaggedTensor:
    words = tf.strings.regex_replace(tf.strings.join([" ", tf.strings.lower(text, "utf-8"), " "]), r"[^\pL\pN]+", " ")
    letters = tf.strings.ngrams(tf.strings.unicode_split(words, "UTF-8", errors="replace"), _LETTERS, separator="")
    whole = tf.strings.ngrams(tf.strings.split(words), _WORDS, separator="_")
    return tf.ragged.map_flat_values(tf.strings.to_hash_bucket_fast, tf.concat([whole, letters], axis=1), BUCKETS)
