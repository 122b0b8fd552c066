"""Which sites of a cohort witness which."""

from policies.terms import Terms


def witnesses_of(terms: Terms, site: str) -> tuple[str, ...]:
    """The `colluders` + 1 sites that follow `site` in the cohort's order, the first after the last.

    One more than may collude, so that at least one tells the truth; a cohort has that many others, as terms demand.
    """
    order = sorted(member.site for member in terms.cohort)
    place = order.index(site)
    return tuple((order[place + 1 :] + order[:place])[: terms.secure_averaging.colluders + 1])
