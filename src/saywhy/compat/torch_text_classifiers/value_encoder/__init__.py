"""Their encoders by the place they are kept in."""

from .value_encoder import DictEncoder, ValueEncoder

__all__ = ["DictEncoder", "ValueEncoder"]
