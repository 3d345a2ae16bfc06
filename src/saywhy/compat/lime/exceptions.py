"""lime's error, by its name."""


class LimeError(Exception):
    """An explanation of a kind that there is none of."""
