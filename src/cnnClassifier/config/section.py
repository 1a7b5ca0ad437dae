"""What every block of YAML is."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # what every library takes, also with a small number added


class Section(BaseModel):
    """A block of YAML: immutable, and a misspelt key is an error, not a silent default. Numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
