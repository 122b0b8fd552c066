"""A pytest plugin: what collecting the tests imports is not looked through for garbage, neither meanwhile nor later."""

import gc


def pytest_sessionstart() -> None:
    """Collecting imports some millions of objects, and frees hardly any."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Tests make garbage: look for it again, but only among what is made from now on."""
    gc.freeze()
    gc.enable()
