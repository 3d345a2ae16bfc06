"""Their dataset by the place it is kept in."""

from .dataset import TextClassificationDataset

__all__ = ["TextClassificationDataset"]
