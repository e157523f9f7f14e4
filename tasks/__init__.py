"""The steps of a night: one file, one step, one function `step(night, settings) -> counts`."""
