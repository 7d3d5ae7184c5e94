"""The one exception for everything a user can mend, and what it quotes of other libraries' errors."""

LONGEST = 160
"""Characters of an error that are quoted."""


class QuickstudyError(ValueError):
    """Says in one sentence what was wrong, where, and what to do; the command line prints it and exits with 2."""


def reason(error: Exception) -> str:
    """The first line of an error, cut, and without what no terminal shows: it may quote a stranger's file."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = " ".join("".join(c if c.isprintable() else " " for c in lines[0]).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
