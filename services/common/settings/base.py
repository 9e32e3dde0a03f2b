"""What every section of the settings is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """Base of every section: immutable, and no key but those named."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
