"""Judge: metrics with intervals, calibration, evaluation, plots."""
