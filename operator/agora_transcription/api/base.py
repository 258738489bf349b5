"""What all models of the resource share: camelCase in Kubernetes, snake_case here, frozen in memory."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["Model"]

_NOT_KEPT: Final[set[str]] = set()


class Model(BaseModel):
    """A part of the resource.

    Fields that the CRD does not know never get this far (the API server prunes them), and those that a newer CRD knows
    are none of this operator's business: both are ignored.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def model_post_init(self, _context: Any, /) -> None:  # noqa: ANN401 - as pydantic declares it
        """Forget which fields were given: nobody asks, and a set for each model is half of what a task takes."""
        object.__setattr__(self, "__pydantic_fields_set__", _NOT_KEPT)
