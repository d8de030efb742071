"""Whether a model is good enough for every class, and better or as good as the one that serves."""
