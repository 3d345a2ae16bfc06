"""The errors of transformers-interpret, by their names."""


class AttributionTypeNotSupportedError(RuntimeError):
    """An attribution type that this explainer does not offer."""


class AttributionsNotCalculatedError(RuntimeError):
    """Attributions were asked for before the explainer was called."""


class InputIdsNotCalculatedError(RuntimeError):
    """A prediction was asked for before the explainer was called."""
