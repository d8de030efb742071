"""The published model in other formats: for phones, browsers and programs without TensorFlow."""
