"""Errors whose sentences have translations."""


class ReasonedError(ValueError):
    """An error with an English message and the name of its translation.

    Attributes:
        reason: last part of the key of the page's text; empty if there is none.
        values: what the message names.
    """

    def __init__(self, message: str, reason: str = "", **values: object) -> None:
        self.reason, self.values = reason, values
        super().__init__(message)
