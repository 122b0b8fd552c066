"""What is told of outputs without reading them: names, what was left out, size."""

from collections.abc import Collection, Sequence

from policies.disclosure.file_findings import LeftOut, TooLarge, Undeclared
from policies.disclosure.finding_parts import as_label
from policies.disclosure.rules import DisclosureRules


def check_files(
    sizes: dict[str, int], declared: Collection[str], left_out: Sequence[str], rules: DisclosureRules
) -> list[Undeclared | LeftOut | TooLarge]:
    """Only declared files, nothing left out, and no more bytes than allowed.

    Args:
        sizes: bytes of each output, by name.
        declared: the names that may be there.
        left_out: what the sandbox did not take, in our own words.
    """
    found: list[Undeclared | LeftOut | TooLarge] = [
        Undeclared(output=name) for name in sorted(sizes) if name not in declared
    ]
    found.extend(LeftOut(what=as_label(what)) for what in left_out)
    total = sum(sizes.values())
    if total > rules.maximum_output_bytes:
        found.append(TooLarge(size=total, most=rules.maximum_output_bytes))
    return found
