"""The kinds of attribution that the image explainer offers, by transformers-interpret's names."""

from enum import Enum


class AttributionType(Enum):
    """How pixels are scored: by integrated gradients, alone or averaged under noise."""

    INTEGRATED_GRADIENTS = "IG"
    INTEGRATED_GRADIENTS_NOISE_TUNNEL = "IGNT"


class NoiseTunnelType(Enum):
    """What of the scores under noise is kept: their mean, their mean square or their variance."""

    SMOOTHGRAD = "smoothgrad"
    SMOOTHGRAD_SQUARED = "smoothgrad_sq"
    VARGRAD = "vargrad"
