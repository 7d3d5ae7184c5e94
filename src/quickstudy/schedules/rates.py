"""`GroupRates`: the rates of an optimizer's groups of parameters, set by one alone."""

from __future__ import annotations

import torch

from quickstudy.errors import QuickstudyError


class GroupRates:
    """The rates of an optimizer as they were read or set last.

    Args:
        optimizer: whose rates they are.

    Attributes:
        last: one of each group.

    Raises:
        QuickstudyError: an optimizer without parameters, or a rate that is not above 0.
    """

    def __init__(self, optimizer: torch.optim.Optimizer):
        groups = optimizer.param_groups
        if not any(group["params"] for group in groups):
            raise QuickstudyError(f"the {type(optimizer).__name__} has no parameters; give one that has some to train")
        for number, group in enumerate(groups):
            rate = group.get("lr")
            if rate is None or not rate > 0:
                raise QuickstudyError(
                    f"group {number} of the optimizer has the rate {rate}; give it one above 0, to be multiplied"
                )
        self.optimizer = optimizer
        self.last = self._read()

    def check(self) -> None:
        """Sees to it that they are as they were; a group that is new is taken in.

        Raises:
            QuickstudyError: something else has set one.
        """
        now = self._read()
        for number, (rate, last) in enumerate(zip(now, self.last, strict=False)):
            if rate != last:
                raise QuickstudyError(
                    f"the rate of group {number} is {rate:g}, and LearnedSchedule had it at {last:g}; leave out what else sets "
                    "rates, such as another scheduler"
                )
        self.last = now

    def multiply(self, factor: float) -> None:
        """All of them, so that their ratios stay."""
        self.set([factor * rate for rate in self.last])

    def set(self, rates: list[float]) -> None:
        """One of each group."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if isinstance(group["lr"], torch.Tensor):  # that of a step which is compiled or captured
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self.last = self._read()  # in a tensor's precision

    def _read(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]
