"""All tests; a room for each part of the house, and its helpers in it."""

from pathlib import Path

HOUSE = Path(__file__).parents[1]
