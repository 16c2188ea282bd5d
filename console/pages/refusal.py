"""A question that a page cannot answer: said in words, with what to do, and the status of HTTP."""

from __future__ import annotations


class Refusal(Exception):
    """A page cannot be shown.

    Attributes
    ----------
    status : of HTTP: 400 for a wrong question, 404 for what is not there
    what : key of the words that say so; ``what``_advice says what to do
    detail : what was asked for
    """

    def __init__(self, status: int, what: str, detail: str) -> None:
        super().__init__(f"{what}: {detail}")
        self.status, self.what, self.detail = status, what, detail
