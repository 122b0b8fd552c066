"""Contexts: every part counts, parts cannot be shifted into each other, and the values never change."""

from datasites.secure_averaging.contexts import round_context, setup_context

TERMS, RUN, ROSTER, MODEL = "11" * 32, "22" * 16, "33" * 32, "44" * 32


def test_the_values_are_frozen():
    setup = setup_context(TERMS, RUN, ROSTER)
    assert setup.hex() == "66838f5f5fab45abcf8bccc8e93812acfeda1916b6d49c97f6834ffe14defba6"
    assert round_context(setup, 7, MODEL).hex() == "5ad252e8ee01b62965e5bd4382250c3adac313426db8c5445a41b67439b57616"


def test_every_part_of_a_setup_counts():
    contexts = [
        setup_context(TERMS, RUN, ROSTER),
        setup_context("55" * 32, RUN, ROSTER),
        setup_context(TERMS, "55" * 16, ROSTER),
        setup_context(TERMS, RUN, "55" * 32),
        setup_context(ROSTER, RUN, TERMS),
    ]
    assert len(set(contexts)) == len(contexts)


def test_every_part_of_a_round_counts():
    setup = setup_context(TERMS, RUN, ROSTER)
    contexts = [
        setup,
        round_context(setup, 1, MODEL),
        round_context(setup, 2, MODEL),
        round_context(setup, 1, TERMS),
        round_context(setup_context(TERMS, "55" * 16, ROSTER), 1, MODEL),
    ]
    assert len(set(contexts)) == len(contexts)
