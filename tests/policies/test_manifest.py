"""The manifest: accepts what an owner declares, refuses what could not be read or would name people."""

import pytest

from policies.errors import InvalidInputError
from policies.manifest import MAXIMUM_MANIFEST_BYTES, Manifest, parse_manifest, parse_published_manifest
from policies.record_form import TensorForm


def test_reads_the_public_facts(manifest):
    assert [column.name for column in manifest.feature_columns] == ["age", "pressure", "blood"]
    assert manifest.feature_shape == (1 + 1 + 4,)
    assert (manifest.training_units, manifest.holdout_units) == (75, 25)
    assert manifest.target_form == TensorForm(shape=(), dtype="int64", choices=2)


def test_a_numeric_target_is_a_number(clinic_toml):
    manifest = parse_manifest(clinic_toml.replace('target = "ill"', 'target = "age"').encode())
    assert manifest.target_form == TensorForm(shape=(), dtype="float32", choices=None)
    assert manifest.feature_shape == (1 + 4 + 2,)


def with_text(toml: str, **changes: object) -> Manifest:
    """The clinic with a letter as its only feature."""
    start, end = toml.index("[[columns]]"), toml.rindex("[[columns]]")
    letter = '[[columns]]\nname = "letter"\ntype = "text"\nmaximum_bytes = 500\n'
    text = toml[:start] + letter + toml[end:]
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, str(new), 1)
    return parse_manifest(text.encode())


def test_programs_take_a_text_as_the_study_s_tokens(clinic_toml, manifest):
    letters, tokens = with_text(clinic_toml), TensorForm(shape=(64,), dtype="int64", choices=30_000)
    assert letters.feature_shape == (500,)
    assert letters.record_form(tokens).features == tokens
    assert letters.record_form(tokens).target == manifest.record_form().target
    with pytest.raises(InvalidInputError, match="holds texts, and the study brings no tokeniser"):
        letters.record_form()
    with pytest.raises(InvalidInputError, match="holds no texts"):
        manifest.record_form(tokens)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"500": 65_537}, "maximum_bytes"),
        ({"500": 0}, "maximum_bytes"),
        ({'target = "ill"': 'target = "letter"'}, "a target is a number, a category or a level"),
        ({"[[columns]]": '[[columns]]\nname = "a"\ntype = "text"\nmaximum_bytes = 9\n[[columns]]'}, "features alone"),
    ],
)  # fmt: skip
def test_a_text_stands_alone(clinic_toml, changes, said):
    with pytest.raises(InvalidInputError, match=said):
        with_text(clinic_toml, **changes)


def test_an_image_has_a_bounded_size_and_a_form_of_its_own(clinic_toml):
    size = {'"text"': '"image"', "maximum_bytes = 500": "channels = 3\nheight = 224\nwidth = 200"}
    image = with_text(clinic_toml, **size)
    assert image.feature_shape == (3, 224, 200)
    assert image.record_form().features == TensorForm(shape=(3, 224, 200), dtype="float32", choices=None)
    for changes, said in (
        ({"= 224": "= 2000"}, "at most 1000000 values"),
        ({"channels = 3": "channels = 2"}, "channels"),
        ({"maximum_records = 3": "maximum_records = 600"}, "lower maximum_records"),
        ({"width = 200": "width = 0"}, "width"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            with_text(clinic_toml, **size, **changes)


def test_survives_publication(manifest):
    published = parse_published_manifest(manifest.canonical())
    assert published == manifest
    assert published.digest() == manifest.digest()


def test_the_digest_moves_with_every_declaration(clinic_toml, manifest):
    for old, new in [("= 98", "= 99"), ("0.25", "0.2"), ('"AB", "0"', '"0", "AB"'), ("= 100", "= 101")]:
        assert parse_manifest(clinic_toml.replace(old, new, 1).encode()).digest() != manifest.digest()


def test_nominal_counts_add_up_at_both_ends(clinic_toml):
    for fraction, holdout in [("0", 0), ("0.5", 50), ("0.006", 1)]:
        manifest = parse_manifest(clinic_toml.replace("0.25", fraction).encode())
        assert (manifest.training_units, manifest.holdout_units) == (100 - holdout, holdout)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("maximum = 98", "maximum = 18", "minimum must be below maximum"),
        ("maximum = 98", "maximum = 98.5", "valid integer"),
        ("maximum = 220.0", "maximum = inf", "infinite"),
        ("maximum = 220.0", "maximum = nan", "infinite"),
        ("maximum = 220.0", "maximum = 1e300", "less than or equal"),
        ("maximum = 220.0", "maximum = 2020-01-01", "infinite"),
        ("maximum = 220.0", 'maximum = "220"', "valid number"),
        ('"A", "B", "AB", "0"', '"A"', "at least 2"),
        ('"A", "B", "AB", "0"', '"A", "A"', "twice"),
        ('"A", "B", "AB", "0"', '"A", " B"', "spaces"),
        ('"A", "B", "AB", "0"', '"A", "e\\u0301"', "NFC"),
        ('"A", "B", "AB", "0"', '"A", "B\\nC"', "one line"),
        ('name = "blood"', 'name = "age"', "same name"),
        ('name = "blood"', 'name = "patient"', "never a feature"),
        ('target = "ill"', 'target = "dead"', "target"),
        ('target = "ill"', 'target = "patient"', "target"),
        ("fraction = 0.25", "fraction = 0.6", "fraction"),
        ("fraction = 0.25", "fraction = 0.001", "less than one"),
        ("nominal_units = 100", "nominal_units = 49", "nominal_units"),
        ("maximum_records = 3", "maximum_records = 0", "maximum_records"),
        ("maximum_records = 3", "maximum_records = 1001", "maximum_records"),
        ("maximum_records = 3", "maximum_records = true", "maximum_records"),
        ('name = "clinic-a"', 'name = "../clinic"', "name"),
        ('title = "Clinic A"', 'title = "Clinic \\u202e A"', "title"),
        ('title = "Clinic A"', 'title = "Clinic A"\nsecret = 1', "secret"),
        ('target = "ill"', 'target = ["ill"]', "target"),
        ('target = "ill"', 'target = ["ill", "ill"]', "names one twice"),
        ('target = "ill"', 'target = ["ill", "dead"]', "target is not one of the columns"),
        ('target = "ill"', 'target = ["ill", "age", "pressure", "blood"]', "every column is a target"),
        ("maximum = 98", "maximum = 98\nmissing = { value = 17, indicator = true }", "outside minimum to maximum"),
        ("maximum = 98", "maximum = 98\nmissing = { value = 18.5, indicator = true }", "missing"),
        ("maximum = 98", "maximum = 98\nmissing = { value = 18 }", "indicator"),
        ('"AB", "0"]', '"AB", "0"]\nmissing = { value = "C", indicator = false }', "none of the categories"),
        ('["no", "yes"]', '["no", "yes"]\nmissing = { value = "no", indicator = false }', "never missing"),
        ('"category"\ncategories = ["A", "B", "AB", "0"]', '"ordinal"\nlevels = ["A", "A"]', "listed twice"),
        ('"category"\ncategories = ["A", "B", "AB", "0"]', '"ordinal"\nlevels = ["A"]', "at least 2"),
        ('title = "Clinic A"', "", "title"),
        (
            'type = "number"',
            'type = "sound"',
            "columns.1: it must be one of the kinds 'number', 'integer', 'category', 'ordinal', 'text', 'image'",
        ),
        ('name = "clinic-a"', 'name = "clinic-a"\nname = "b"', "TOML"),
    ],
)
def test_refuses(clinic_toml, old, new, said):
    assert old in clinic_toml
    with pytest.raises(InvalidInputError, match=said):
        parse_manifest(clinic_toml.replace(old, new, 1).encode())


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 100_000, b"#" * (MAXIMUM_MANIFEST_BYTES + 1)])
def test_refuses_what_is_no_manifest(data):
    with pytest.raises(InvalidInputError, match="manifest"):
        parse_manifest(data)


def test_refuses_more_features_than_a_program_may_take(clinic_toml):
    categories = ", ".join(f'"c{number}"' for number in range(999))
    wide = "".join(
        f'[[columns]]\nname = "w{number}"\ntype = "category"\ncategories = [{categories}]\n' for number in range(11)
    )
    with pytest.raises(InvalidInputError, match="features"):
        parse_manifest((clinic_toml + wide).encode())


def test_what_is_accepted_can_be_published(clinic_toml):
    """Also just below the limit, where the fields that are published as null make the difference."""
    short = "".join(f'[[columns]]\nname="{number}"\ntype="number"\nminimum=0\nmaximum=1\n' for number in range(850))
    description = "x\n" * 950
    outcomes = []
    for count in range(60, 85):
        long = "".join(
            f'[[columns]]\nname="d{n}"\ntype="number"\nminimum=0\nmaximum=1\ndescription="""{description}"""\n'
            for n in range(count)
        )
        text = (clinic_toml + short + long).encode()
        assert len(text) <= MAXIMUM_MANIFEST_BYTES
        try:
            manifest = parse_manifest(text)
        except InvalidInputError:
            outcomes.append(False)
            continue
        assert parse_published_manifest(manifest.canonical()) == manifest
        outcomes.append(True)
    assert outcomes[0]
    assert not outcomes[-1]
