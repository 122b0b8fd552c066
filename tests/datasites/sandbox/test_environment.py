"""What of the machine an errand sees, wherever Python and its packages are installed."""

from datasites.sandbox.environment import View


def test_packages_installed_below_a_writable_folder_are_bound_again() -> None:
    """An environment below /tmp, say: what an errand may write to is mounted there, and would hide it."""
    view = View(bound=("/tmp/clone/.venv/lib", "/usr/lib", "/tmpfiles"), links=(), files=(), devices=())
    assert view.bound_below(("/job", "/tmp")) == ("/tmp/clone/.venv/lib",)
