"""The kinds of attribution, by the place that transformers-interpret keeps them in."""

from ...attribution_types import AttributionType, NoiseTunnelType

__all__ = ["AttributionType", "NoiseTunnelType"]
