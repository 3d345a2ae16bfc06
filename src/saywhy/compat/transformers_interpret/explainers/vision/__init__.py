"""The image explainer, by the place that transformers-interpret keeps it in."""

from ...image import ImageClassificationExplainer

__all__ = ["ImageClassificationExplainer"]
