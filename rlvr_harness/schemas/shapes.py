"""Numbers, points and curves that every part of results.json is made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
"""A share or a chance."""
Signed = Annotated[float, Field(ge=-1, le=1)]
"""A difference of two shares."""
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]
K = Annotated[str, Field(pattern=r"^[1-9][0-9]*$")]
"""A k as a key: a whole number in decimal digits."""
Tau = Annotated[str, Field(pattern=r"^(0(\.[0-9]+)?|1(\.0+)?)$")]
"""A threshold on a problem's accuracy as a key: "0.25", "1.0"."""
Open = dict[str, Any]
"""An object whose keys are not part of the contract."""


class Shape(BaseModel):
    """An object with these keys, and any others beside them."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, frozen=True)


class Point(Shape):
    """A share with its two 95 % intervals; null where an interval is not known."""

    value: Fraction
    low: Fraction | None = Field(description="95 % interval, problems resampled")
    high: Fraction | None
    sampling_low: Fraction | None = Field(None, description="95 % interval, these problems held fixed")
    sampling_high: Fraction | None = None


class Difference(Shape):
    """A difference of two shares with its two 95 % intervals."""

    value: Signed
    low: Signed | None = Field(description="95 % interval, problems resampled")
    high: Signed | None
    sampling_low: Signed | None = Field(None, description="95 % interval, these problems held fixed")
    sampling_high: Signed | None = None


class Bounds(Shape):
    """A 95 % interval alone."""

    low: Signed | None
    high: Signed | None


class Quantity(Shape):
    """A number that is no share, with its 95 % interval; all null where nothing could be measured."""

    value: NotNegative | None
    low: NotNegative | None
    high: NotNegative | None


Curve = dict[K, Point]
"""k -> measured share."""
PartialCurve = dict[K, Point | None]
"""k -> measured share, null at a k that the plan leaves without an unbiased estimate."""
