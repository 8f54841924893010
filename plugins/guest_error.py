"""How a guest's call failed, inside the worker process."""


class GuestError(Exception):
    """`outcome` is a value of `plugins.outcome.Outcome`; `reason` says more."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(outcome, reason)
        self.outcome = outcome
        self.reason = reason
