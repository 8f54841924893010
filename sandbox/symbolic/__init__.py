"""One symbolic definition a model: simulated, linearised, estimated and rolled out from it."""
