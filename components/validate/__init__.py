"""Whether the data are fit to train on."""
