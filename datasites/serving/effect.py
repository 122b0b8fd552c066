"""What a letter that was acted on has left to be done."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effect:
    """Letters to send, letters with large content, or work for the workers."""

    small_mail: bool = False
    large_mail: bool = False
    work: bool = False
    jobs: bool = False
