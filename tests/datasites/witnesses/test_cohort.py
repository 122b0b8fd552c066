"""Who witnesses whom: always as many as may collude and one more, never the site itself."""

from hypothesis import given
from hypothesis import strategies as st

from datasites.witnesses.cohort import witnesses_of
from tests.one_study import make_terms

PARTIES = st.lists(st.integers(0, 2**64).map(lambda number: f"{number:064x}"), min_size=3, max_size=9, unique=True)


@given(PARTIES, st.integers(0, 7))
def test_colluders_and_one_more_of_the_others_witness_each_site(parties: list[str], colluders: int) -> None:
    colluders = min(colluders, len(parties) - 2)
    averaging = {"colluders": colluders, "minimum_cohort": len(parties)}
    terms = make_terms("1" * 32, "f" * 64, parties, 10**9, {"secure_averaging": averaging})
    chosen = {party: witnesses_of(terms, party) for party in parties}
    for party, witnesses in chosen.items():
        assert len(set(witnesses)) == len(witnesses) == colluders + 1
        assert set(witnesses) <= set(parties) - {party}
    asked = [witness for witnesses in chosen.values() for witness in witnesses]
    assert {asked.count(party) for party in parties} == {colluders + 1}, "nobody witnesses more than others"
