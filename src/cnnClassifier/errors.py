"""The tree of all that this package raises on purpose.

* CnnClassifierError
  x ConfigError        a YAML file is missing, malformed, misspelt or out of range
  x DataError          a dataset, manifest or image file is not what was promised
  x ImageError         one picture cannot be decoded (a DataError, so a batch can go on without it)
  x ArchiveError       an archive of pictures cannot be opened, or is built to do harm (a DataError)
  x ModelError         a model cannot be built, exported, loaded or found
  x NoSuchModelError   no model of that name may be asked here (a ModelError)
  x NoMapsError        a model cannot say where in an image its evidence lies (a ModelError)
  x WeightsError       pretrained weights are missing and cannot be fetched (a ModelError)
  x TrackingError      the tracking server or registry refuses, lacks something or does not answer

An error that one module alone raises stands there, as a branch of this tree: `FetchError`, `UnknownLabelError` and
`DamagedFileError` are a DataError, `NoModelError` a ModelError, `PeekError` a TrackingError, `OverloadedError` a
CnnClassifierError.

Every message says what was wrong, where, and what to do. They are caught once,
at the door: the command line prints them in one line and exits with 2, the web
app turns them into an answer.
"""


class CnnClassifierError(Exception):
    """Base of all errors this package raises on purpose."""


class ConfigError(CnnClassifierError):
    """A configuration file is missing, malformed, misspelt or out of range."""


class DataError(CnnClassifierError):
    """A dataset, a manifest or an image file is not what was promised."""


class ImageError(DataError):
    """One picture cannot be decoded."""


class ArchiveError(DataError):
    """An archive of pictures cannot be opened, or is built to do harm."""


class ModelError(CnnClassifierError):
    """A model cannot be built, exported, loaded or found."""


class NoSuchModelError(ModelError):
    """No model of that name may be asked here."""


class NoMapsError(ModelError):
    """A model cannot say where in an image its evidence lies."""


class WeightsError(ModelError):
    """Pretrained weights are neither at hand nor to be fetched."""


class TrackingError(CnnClassifierError):
    """The tracking server or the model registry refuses, lacks something or does not answer."""


def one_line(error: BaseException) -> str:
    """What a library says of an error, as it may stand in a message of ours: on one line, and not all of a page."""
    return " ".join(str(error).split())[:300]
