"""What a shop's catalogue is like, found out without training: a library for `fashion inspect`."""
