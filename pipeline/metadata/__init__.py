"""The database that remembers runs and artifacts."""

from pipeline.metadata.checking import check
from pipeline.metadata.url import PASSWORD_VARIABLE, Database, connection, parse_url

__all__ = ["PASSWORD_VARIABLE", "Database", "check", "connection", "parse_url"]
