"""What the command line says of an error: a line for what its user can mend; a fault of the program has a traceback."""

import sqlite3

from cnnClassifier.errors import CnnClassifierError, one_line
from cnnClassifier.extras import advice_for

# What only a wrong program makes SQLite say.
FAULTS = (sqlite3.IntegrityError, sqlite3.InternalError, sqlite3.NotSupportedError, sqlite3.ProgrammingError)
WHERE = "CNNCLASSIFIER_LOG_LEVEL=debug says where in the program"


def explain(error: Exception) -> str | None:
    """The line that explains an error; None for one that only its traceback does.

    What the system refuses (a full disk, missing rights, a folder where a file should be, a lost connection) may come
    up anywhere, so it is no error of ours at each place: the line has the file and the system's words.
    """
    match error:
        case CnnClassifierError():
            return str(error)
        case ModuleNotFoundError():
            return advice_for(error.name or "")
        case OSError():
            return f"{_as_the_system_says(error)} ({WHERE})"
        case sqlite3.DatabaseError() if not isinstance(error, FAULTS):
            return f"SQLite: {error} ({WHERE})"
    return None


def _as_the_system_says(error: OSError) -> str:
    files = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    why = error.strerror or one_line(error)
    return f"{files}: {why}" if files else why
