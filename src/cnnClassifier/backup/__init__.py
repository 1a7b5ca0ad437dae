"""The registry in one file, and back: here, on another machine, or from a laptop's SQLite to PostgreSQL and S3.

* stores   where a registry keeps its tables and its artifacts
* sqlite   files of SQLite: copied while others write them
* tables   a consistent copy of the tables, and addresses that do not depend on where artifacts lie
* archive  the tar file
* command  backup and restore
"""
