"""Networks of several levels by the place they are kept in."""

from .multilevel import MultiLevelCrossEntropyLoss, MultiLevelTextClassificationModel

__all__ = ["MultiLevelCrossEntropyLoss", "MultiLevelTextClassificationModel"]
