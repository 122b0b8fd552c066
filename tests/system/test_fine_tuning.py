"""Both fine-tuning examples as three-site studies, through approval, to models that read what no site has shown."""

from collections.abc import Iterator

import pytest
import torch
from tokenizers import Tokenizer

from researcher import Deadlines, Privacy, Result, TrainingPlan
from tests.demo.commands import datasite
from tests.examples import digits, sentences
from tests.system.federation import LiveFederation, LiveSite, ask, open_federation, wait_for_status

PATIENCE_SECONDS = 180
"""A site checks and a trainer loads 90 MB of a transformer, three of each at once."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveFederation]:
    """A federation of its own: the sites of the others have one data set each."""
    federation = open_federation(tmp_path_factory.mktemp("examples"))
    yield federation
    federation.close()


def fine_tune(live: LiveFederation, name: str, plan: TrainingPlan, *, local_steps: int) -> Result:
    """Register `name` at each site, submit, let every owner approve, and run two rounds."""

    def register(site: LiveSite) -> None:
        folder = live.folder / site.name
        datasite("data", "add", folder / f"{name}.toml", folder / f"{name}.csv", "--epsilon", "4", "--home", site.home)

    live.at_each_site(register)
    data_sets = [it for it in live.ada.data_sets if it.name == name]
    asked = ask(
        title=name,
        privacy=Privacy(epsilon=3.0, delta=1e-6),
        local_steps=local_steps,
        learning_rate=2.0,
        deadlines=Deadlines(setup_seconds=PATIENCE_SECONDS, round_seconds=PATIENCE_SECONDS),
    )
    study = live.ada.submit(plan, data_sets, asked)
    wait_for_status(study, live.sites, "pending", seconds=PATIENCE_SECONDS)
    live.at_each_site(lambda site: site.approve(study))
    return study.wait(PATIENCE_SECONDS).run()


def test_a_reader_of_old_digits_learns_new_ones(live: LiveFederation) -> None:
    images, labels = digits.write_tables(live.folder)
    plan = digits.FineTuneReader(digits.pretrained_body())
    result = fine_tune(live, digits.NAME, plan, local_steps=6)
    with torch.no_grad():
        accuracy = float((result.model(images).argmax(1) == labels).float().mean())
    assert accuracy > 0.85  # 0.91 ± 0.013 over the noise; a fifth by guessing, 0.72 from a body that learned nothing
    before = plan.model().state_dict()
    changed = {key for key, value in result.model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"head.weight", "head.bias"}


def test_a_sentence_transformer_learns_whose_texts_they_are(live: LiveFederation) -> None:
    kept = sentences.write_tables(live.folder)
    result = fine_tune(live, sentences.NAME, sentences.SortDocs(), local_steps=4)
    tokenizer = Tokenizer.from_file(str(sentences.minilm() / "tokenizer.json"))
    tokenizer.enable_truncation(sentences.LENGTH)
    tokenizer.enable_padding(length=sentences.LENGTH)
    tokens = torch.tensor([it.ids for it in tokenizer.encode_batch([text for text, _ in kept])])
    with torch.no_grad():
        told = result.model(tokens).argmax(1)
    accuracy = float((told == torch.tensor([number for _, number in kept])).float().mean())
    assert accuracy > 0.75  # 0.89 ± 0.018 over the noise; half by guessing
