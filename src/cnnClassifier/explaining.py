"""How the command line reports an error: one line for what its user can fix, a traceback for a bug."""

import sqlite3

from cnnClassifier.errors import CnnClassifierError, one_line
from cnnClassifier.extras import advice_for

# SQLite raises these only for a bug.
FAULTS = (sqlite3.IntegrityError, sqlite3.InternalError, sqlite3.NotSupportedError, sqlite3.ProgrammingError)
WHERE = "CNNCLASSIFIER_LOG_LEVEL=debug shows where in the program"


def explain(error: Exception) -> str | None:
    """The line that explains an error; None for one that needs its traceback.

    A full disk, missing rights or a lost connection may come up anywhere, so no other module wraps such errors: the
    line gives the file and the system's message.
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
