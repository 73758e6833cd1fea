"""The Parquet parts of a run folder: names, columns, reading, checking, compaction. `disk` alone changes files."""
