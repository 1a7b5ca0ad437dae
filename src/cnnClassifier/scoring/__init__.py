"""Many images answered into a folder of Parquet files, on this machine or on a Ray cluster. No TensorFlow."""
