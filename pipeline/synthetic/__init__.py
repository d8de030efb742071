"""The synthetic catalogue: drawn products in the layout of the Kaggle data set, faults included."""

from pipeline.synthetic.catalogue import Summary, write_catalogue

__all__ = ["Summary", "write_catalogue"]
