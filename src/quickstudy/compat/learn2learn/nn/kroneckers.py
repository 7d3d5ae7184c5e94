"""A linear map that is a Kronecker product."""

from __future__ import annotations

import torch
from torch import nn

from quickstudy.errors import QuickstudyError


class KroneckerLinear(nn.Module):
    """Y = L X R + B, which is vec(Y) = (R^T kron L) vec(X) + vec(B): n^2 + m^2 numbers in the place of (nm)^2.

    L and R are identities at first, and B is zero (Arnold et al. 2021, section 4).

    Args:
        n: rows of X.
        m: columns of X.
        bias: whether there is a B.
        psd: whether L and R are squared, L^T L and R^T R, so that the map is positive semi-definite.
        device: where it is computed; outputs return to where the inputs were. None: where the inputs are.
    """

    def __init__(self, n: int, m: int, bias: bool = True, psd: bool = False, device: torch.device | str | None = None):
        super().__init__()
        self.left, self.right = nn.Parameter(torch.eye(n, device=device)), nn.Parameter(torch.eye(m, device=device))
        self.bias = nn.Parameter(torch.zeros(n, m, device=device)) if bias else None
        self.psd, self.device = psd, device

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(..., n, m)`, or the columns of one matrix in a row `(n * m,)`, to the same shape.

        Raises:
            QuickstudyError: another shape.
        """
        n, m = len(self.left), len(self.right)
        if x.shape != (n * m,) and x.shape[-2:] != (n, m):
            raise QuickstudyError(f"inputs have the shape {tuple(x.shape)}; this layer takes (..., {n}, {m}) or ({n * m},)")
        if x.dim() == 1:
            return self(x.reshape(m, n).T).T.flatten()
        left, right = (f.T @ f for f in (self.left, self.right)) if self.psd else (self.left, self.right)
        y = left @ x.to(self.device) @ right
        return (y if self.bias is None else y + self.bias).to(x.device)
