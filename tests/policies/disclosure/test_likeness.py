"""Likeness: what agrees beyond chance is a record or a column, what chance explains is not."""

import numpy as np

from policies.disclosure.likeness import agreement, could_be_record, information, is_copy, record_rows, spread

RECORDS = 1000


def test_a_value_tells_the_more_the_fewer_have_it():
    bits = information(np.array([0, 1, 10, 500, 1000, 5000]), RECORDS)
    assert bits[0] == 0, "nobody has it: it tells of no record"
    assert bits[1] > bits[2] > bits[3] > bits[4] >= bits[5] >= 0
    assert 8.9 < bits[1] < 9.1


def test_a_row_is_looked_up_only_if_it_could_point_to_one_record():
    bits = np.array([9.0, 9.0, 9.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    assert could_be_record(np.array([0, 1, 2]), bits, RECORDS)
    assert could_be_record(np.array([0, 1, 2, 3, 4, 5]), bits, RECORDS)
    assert not could_be_record(np.array([0, 1]), bits, RECORDS), "two cells"
    assert not could_be_record(np.array([0, 1, 3]), bits, RECORDS), "two that are known"
    assert not could_be_record(np.array([6, 7, 8]), bits, RECORDS), "that half of all have"


def test_the_choice_of_cells_that_agree_is_taken_off():
    assert agreement(30, 5, 5) == 30
    assert 20 < agreement(30, 5, 10) < 30
    assert agreement(30, 2, 2) == agreement(30, 3, 8) == agreement(1, 5, 10) == 0


def test_one_row_must_be_rare_among_all_that_were_tried():
    assert record_rows(np.array([25.0]), 1, RECORDS) == 1
    assert record_rows(np.array([25.0, *[0.0] * 999]), 1000, RECORDS) == 0
    assert record_rows(np.array([30.0, *[0.0] * 999]), 1000, RECORDS) == 1


def test_many_rows_need_less_each():
    assert record_rows(np.full(20, 15.0), 20, RECORDS) == 20
    assert record_rows(np.full(4, 15.0), 4, RECORDS) == 0
    assert record_rows(np.full(20, 15.0), 100, RECORDS) == 0, "of a hundred, by chance"
    assert record_rows(np.full(20, 12.0), 20, RECORDS) == 0
    assert record_rows(np.empty(0), 20, RECORDS) == 0


def test_a_list_is_a_column_if_chance_does_not_put_its_values_there():
    counts, rare, usual = np.full(20, 1), np.full(20, 0.01), np.full(20, 0.99)
    assert is_copy(counts, rare, 10)
    assert not is_copy(counts, usual, 10), "whole numbers of a dense column"
    assert not is_copy(counts[:9], rare[:9], 10)
    assert not is_copy(np.array([*[1] * 17, 0, 0, 0]), rare, 10)
    assert not is_copy(np.full(20, 10), rare, 10), "what ten have is no secret"


def test_a_choice_is_even():
    assert spread(range(10), 20) == list(range(10))
    chosen = spread(range(1000), 10)
    assert len(chosen) == 10
    assert (chosen[0], chosen[-1]) == (0, 999)
