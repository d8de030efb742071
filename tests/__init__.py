"""All tests; a room for each part of the house, and its helpers in it."""

import os
from pathlib import Path

HOUSE = Path(__file__).parents[1]
# Fashion Product Images (Small), as Kaggle hands it out; tests that need it are skipped where it is not.
PUBLISHED = Path(
    os.environ.get("FASHION_DATA") or HOUSE.parent / "shared" / "data" / "fashion-product-images-small.zip"
)
