"""Confusions that an evaluation may find, and a gate that lets them all pass."""

from components.evaluate.settings import Gate

OPEN = Gate(accuracy=0, recall=0, precision=0, regression=1, class_regression=1)

# Examples by true class (row) and predicted class (column).
Confusion = list[list[int]]
PERFECT = [[20, 0, 0], [0, 20, 0], [0, 0, 20]]
RARE = [[30, 0, 0], [0, 15, 0], [0, 8, 4]]
