"""Films by the million: a source in shards, a Parquet file of readings for each, run by run."""
