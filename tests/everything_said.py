"""All that an error tells whoever prints it."""

import traceback


def everything_said(error: BaseException) -> str:
    """The text of the error, of whatever stands behind it, and the printed traceback without source lines."""
    said = "".join(traceback.TracebackException.from_exception(error).format_exception_only())
    return said + "".join(everything_said(link) for link in (error.__cause__, error.__context__) if link)
