"""What of the machine an errand sees, wherever Python and its packages are installed."""

from datasites.sandbox.environment import View


def test_packages_installed_below_a_writable_folder_are_bound_again() -> None:
    """What an errand may write to is mounted there, and would hide it: an environment in a temporary folder, say."""
    view = View(bound=("/writable/clone/.venv/lib", "/usr/lib", "/writables"), links=(), files=(), devices=())
    assert view.bound_below(("/job", "/writable")) == ("/writable/clone/.venv/lib",)
