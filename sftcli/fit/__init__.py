"""TokenBatch -> TokenBatch: rows that are too long are shortened, and what cannot be used is dropped."""

from sftcli.fit.again import Again
from sftcli.fit.fitter import Fitted, Fitter, Limits, Shortened

__all__ = ["Again", "Fitted", "Fitter", "Limits", "Shortened"]
