"""A product as a tf.train.Example."""

import tensorflow as tf

from components import features
from components.ingest.judge import Product


def serialized(product: Product) -> bytes:
    """Returns the tf.train.Example of a product, with the features of `components.features`.

    Missing values are absent features. Equal products give equal bytes.
    """
    row, picture = product.row, product.picture
    texts = {features.ID: row.id, features.PICTURE_HASH: product.picture_hash}
    texts |= {name: text for name, text in row.fields.items() if name in features.TEXT_COLUMNS}
    whole = {features.WIDTH: picture.width, features.HEIGHT: picture.height}
    if row.year is not None:
        whole[features.YEAR] = row.year
    example = tf.train.Example()
    feature = example.features.feature
    feature[features.IMAGE_BYTES].bytes_list.value.append(picture.data)
    for name, text in texts.items():
        feature[name].bytes_list.value.append(text.encode("utf-8"))
    for name, number in whole.items():
        feature[name].int64_list.value.append(number)
    return example.SerializeToString(deterministic=True)
