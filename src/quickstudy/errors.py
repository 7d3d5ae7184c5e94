"""The one exception for everything a user can mend."""


class QuickstudyError(ValueError):
    """Says in one sentence what was wrong, where, and what to do; the command line prints it and exits with 2."""
