"""What all models of the resource share: camelCase in Kubernetes, snake_case here, frozen in memory."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["Model"]


class Model(BaseModel):
    """A part of the resource.

    Fields that the CRD does not know never get this far (the API server prunes them), and those that a newer CRD knows
    are none of this operator's business: both are ignored.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")
