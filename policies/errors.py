"""The errors that people see: one sentence saying what was got, what was expected and what to do."""


class CloisterError(Exception):
    """Base of every expected failure; its text is written for the person who must act on it."""


class InvalidInputError(CloisterError):
    """What came from outside does not have the declared shape: nothing was changed."""


class RefusedError(CloisterError):
    """The input is well formed, and a rule says no."""


class NotAuthenticError(CloisterError):
    """A signature, a digest or an identity does not match what was pinned."""


class ConflictError(CloisterError):
    """The present state does not allow this: a replay, a second answer, a decision already taken."""


class UnavailableError(CloisterError):
    """Another party could not be reached, or did not answer before its deadline; trying again may help."""
