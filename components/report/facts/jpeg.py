"""A picture among the facts."""

from typing import Annotated

from pydantic import Base64UrlBytes, Field

Jpeg = Annotated[Base64UrlBytes, Field(description="a JPEG file, at most 160 pixels on its longer side")]
