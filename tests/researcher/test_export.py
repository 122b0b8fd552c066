"""Plans exported, parsed and loaded as a site would compute what the plan computes; everything else is refused."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as people write it in plans
from torch import Tensor, nn
from torch.func import grad, vmap

from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.load import flatten, load_parameters, unflatten
from policies.errors import InvalidInputError
from policies.programs.check import check_pair
from policies.programs.format import parse_program
from researcher.export import ExportedPlan, export
from researcher.plan import TrainingPlan
from tests.record_forms import columns
from tests.researcher.plans import Changed, LogisticRegression


class Perceptron(TrainingPlan):
    """Several classes, layer norm, an in-place activation, class weights in a buffer, label smoothing."""

    def model(self) -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Linear(5, 8), nn.LayerNorm(8), nn.ReLU(inplace=True), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 4)
        )

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        weight = torch.tensor([1.0, 2.0, 0.5, 1.0])
        return F.cross_entropy(output, target, weight=weight, label_smoothing=0.1, reduction="sum")

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        chance = output.softmax(1).gather(1, target[:, None]).squeeze(1)
        return {
            "accuracy": (output.argmax(1) == target).float().mean(),
            "chance": chance,
            "top": output.softmax(1).max(1).values,
        }


class Regression(TrainingPlan):
    """A number as target, residual connection, frozen first layer, tied weights, Huber loss."""

    def model(self) -> nn.Module:
        return Residual()

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(output, target, delta=0.5) + 1e-3 * output.abs().mean()

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {
            "near": ((output - target).abs() < 0.25).float().mean(),
            "error": (output - target).square().clamp(0, 1),
        }


class Residual(nn.Module):
    """Two layers that share one weight, over a frozen one; scale is a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(5, 6).requires_grad_(False)
        self.first, self.second, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 1)
        self.second.weight = self.first.weight
        self.register_buffer("scale", torch.tensor([0.5, 1.0, 1.5, 2.0, 1.0, 1.0]))
        self.register_buffer("unused", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.frozen(x) * self.scale
        x = x + torch.tanh(self.second(F.silu(self.first(x))))
        left, right = x.chunk(2, dim=1)
        return self.head(torch.cat([right, left], dim=1)).flatten()


def site_gradients(exported: ExportedPlan, features: Tensor, targets: Tensor) -> Tensor:
    """What a site computes: (records, parameters)."""
    loss = parse_program(exported.loss.canonical())
    values = load_parameters(exported.parameters, loss, maximum_bytes=1_000_000)
    trained = unflatten(flatten(values, loss), loss)
    run = interpret(loss)
    one = grad(lambda parameters, x, y: run({**values, **parameters}, x, y)[0])
    got = vmap(one, in_dims=(None, 0, 0))(trained, features, targets)
    return torch.stack([flatten({name: got[name][i] for name in got}, loss) for i in range(len(targets))])


@pytest.mark.parametrize(
    ("plan", "dtype"), [(LogisticRegression(), "int64"), (Perceptron(), "int64"), (Regression(), "float32")]
)
def test_a_site_computes_what_the_plan_computes(plan: TrainingPlan, dtype: Any) -> None:
    exported = export(plan, columns(5, dtype))
    check_pair(exported.loss, exported.metrics)
    features = torch.rand(6, 5) * 2 - 1
    targets = torch.tensor([0, 1, 0, 1, 1, 0]) if dtype == "int64" else torch.rand(6)
    names = [entry.name for entry in exported.loss.parameters]
    model = dict(exported.model.named_parameters())
    for index, row in enumerate(site_gradients(exported, features, targets)):
        loss = plan.loss(exported.model(features[index : index + 1]), targets[index : index + 1])
        expected = torch.autograd.grad(loss, [model[name] for name in names])
        torch.testing.assert_close(row, torch.cat([part.flatten() for part in expected]), rtol=1e-4, atol=1e-5)
    metrics = parse_program(exported.metrics.canonical())
    values = load_parameters(exported.parameters, metrics, maximum_bytes=1_000_000)
    got = vmap(lambda x, y: interpret(metrics)(values, x, y))(features, targets)
    for name, column in zip(metrics.output_names, got, strict=True):
        whole = plan.metrics(exported.model(features), targets)[name]
        torch.testing.assert_close(column.mean(), whole.mean(), rtol=1e-4, atol=1e-5)


def test_what_is_not_trained_travels_as_constants_and_shared_weights_once() -> None:
    exported = export(Regression(), columns(5, "float32"))
    assert [entry.name for entry in exported.loss.parameters] == [
        "first.bias", "first.weight", "head.bias", "head.weight", "second.bias",
    ]  # fmt: skip
    assert [entry.name for entry in exported.loss.constants] == ["frozen.bias", "frozen.weight", "scale"]
    assert exported.parameter_count == 6 + 36 + 1 + 6 + 6
    weights = export(Perceptron(), columns(5, "int64"))
    assert [(entry.name, entry.shape) for entry in weights.metrics.constants] == [("loss.lifted_tensor_0", (4,))]


def test_the_same_plan_exports_to_the_same_bytes() -> None:
    first, second = export(Perceptron(), columns(5, "int64")), export(Perceptron(), columns(5, "int64"))
    assert first.loss.digest() == second.loss.digest()
    assert first.metrics.digest() == second.metrics.digest()
    assert first.parameters == second.parameters
    assert first.loss.digest() != first.metrics.digest()


def test_the_source_holds_the_plan_and_the_researchers_own_modules() -> None:
    source = export(Regression(), columns(5, "float32")).source
    assert "\nclass Regression(TrainingPlan):" in source
    assert "class Residual(nn.Module):" in source
    assert "class Linear" not in source


def test_exporting_leaves_torchs_generator_and_the_model_as_they_were() -> None:
    state = torch.get_rng_state()
    exported = export(Perceptron(), columns(5, "int64"))
    torch.manual_seed(3)
    expected = Perceptron().model()
    for got, want in zip(exported.model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(got, want)
    assert exported.model.training
    torch.set_rng_state(state)


def without_gradient(output: Tensor, target: Tensor) -> Tensor:
    with torch.no_grad():
        weight = output.softmax(1)
        shift = weight.mean(1, keepdim=True)
        weight += 1
    return F.cross_entropy(output * weight + shift, target)


def test_what_is_computed_without_gradient_is_a_constant_to_the_gradient() -> None:
    exported = export(Changed(loss=without_gradient), columns(5, "int64"))
    assert [node.op for node in exported.loss.nodes].count("detach") >= 2


def test_infinite_numbers_of_masks_become_the_largest_finite_ones() -> None:
    def masked(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            output.masked_fill(torch.arange(3) == 2, -torch.inf) + torch.tensor([0, 0, -torch.inf]), target
        )

    export(Changed(loss=masked), columns(5, "int64", 2))


def branching(output: Tensor, target: Tensor) -> Tensor:
    return output.mean() if output.sum() > 0 else F.cross_entropy(output, target)


class Counting(nn.Linear):
    """Writes to a buffer, so that records see each other."""

    def __init__(self) -> None:
        super().__init__(5, 3)
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        return super().forward(x) + self.seen


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": lambda: nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))}, "LayerNorm or nn.GroupNorm"),
    ({"model": lambda: nn.Linear(5, 3).requires_grad_(False)}, "nothing to train"),
    ({"loss": lambda o, t: o.detach().mean()}, "depend on any parameter"),
    ({"model": lambda: nn.Linear(5, 3).double()}, "float"),
    ({"model": Counting}, "without state"),
    ({"loss": lambda o, t: F.cross_entropy(o + torch.randint(3, (1, 3)), t)}, "another law: use torch.rand_like"),
    ({"loss": lambda o, t: F.cross_entropy(o + torch.empty(3), t)}, "torch.zeros"),
    ({"metrics": lambda o, t: {"chance": torch.rand(1)}}, "if not self.training"),
    ({"loss": branching}, "torch.where"),
    ({"loss": lambda o, t: F.cross_entropy(o, t) * o.max().item()}, "keep values in tensors"),
    ({"loss": lambda o, t: o[o > -9].mean()}, "torch.where"),
    ({"loss": lambda o, t: F.cross_entropy(o, t, ignore_index=1)}, "ignore_index"),
    ({"loss": lambda o, t: F.cross_entropy(o, t, weight=torch.tensor([1.0, 2.0, 3.0]))}, "mean nor the sum"),
    ({"loss": lambda o, t: (o - t.float()[:, None]).pow(2).mean().sqrt()}, "mean nor the sum"),
    ({"loss": lambda o, t: (o[:, :1] - t.float()).pow(2).mean()}, "mean nor the sum"),
    ({"loss": lambda o, t: F.cross_entropy(o, t, reduction="none")}, "one float32 number"),
    ({"loss": lambda o, t: F.cross_entropy(o.double(), t).float()}, "float64.*float32"),
    ({"loss": lambda o, t: F.cross_entropy(o.masked_fill(o > 5, torch.nan), t)}, "finite"),
    ({"loss": lambda o, t: F.cross_entropy(o, t) + o.std()}, "var"),
    ({"loss": lambda o, t: F.cross_entropy(o, t) + o.sort().values.sum()}, "sort"),
    ({"loss": lambda o, t: F.cross_entropy(o, t) / 0}, "not finite"),
    ({"loss": lambda o, t: torch.add(o.mean(), o.sum(), alpha=2)}, "alpha"),
    ({"metrics": lambda o, t: {"error": F.cross_entropy(o * 9, t)}}, r"leaves \[0, 1\]"),
    ({"metrics": lambda o, t: {"share": (o.argmax(1) == 0).float().sum() / 9}}, "not the mean"),
    ({"metrics": lambda o, t: {"Not A Name": (o.argmax(1) == t).float().mean()}}, "lower-case"),
    ({"metrics": lambda o, t: {}}, "1 to 64"),
    ({"metrics": lambda o, t: {"accuracy": 0.5}}, "must be a tensor"),
    ({"metrics": lambda o, t: 0.5}, "dict of 1 to 64"),
    ({"scores": lambda o, t: {"ill": (o[:, 1], t == 1)}}, r"'ill_score' leaves \[0, 1\]"),
    ({"scores": lambda o, t: {"ill": (o.softmax(1)[:, 1], t)}}, "'ill_label' (leaves|is neither 0 nor 1)"),
    ({"scores": lambda o, t: {"ill": (o.softmax(1)[:, 1], t / 2)}}, "'ill_label' is neither 0 nor 1"),
    ({"scores": lambda o, t: {"ill": (o.softmax(1)[:, 1].sum() / 9, t == 1)}}, "'ill_score' of a batch .*is not the"),
    ({"scores": lambda o, t: {"ill": o.softmax(1)[:, 1]}}, "'ill' must be two tensors"),
    ({"scores": lambda o, t: {"ill": (o.softmax(1), t == 1)}}, "'ill' must be two tensors"),
    ({"scores": lambda o, t: {"ill": (0.5, t == 1)}}, "'ill' must be two tensors"),
    ({"scores": lambda o, t: (o, t)}, "dict of named pairs"),
    ({"scores": lambda o, t: {"Ill": (o.softmax(1)[:, 1], t == 1)}}, "lower-case"),
    ({"scores": lambda o, t: {"i" * 58: (o.softmax(1)[:, 1], t == 1)}}, "lower-case"),
    ({"scores": lambda o, t: {"accuracy": (o.softmax(1)[:, 1], t == 1)}}, "rename the score"),
]


@pytest.mark.parametrize(("parts", "text"), REFUSED)
def test_what_has_no_faithful_program_is_refused_with_its_remedy(parts: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInputError, match=text):
        export(Changed(**parts), columns(5, "int64"))


def test_each_score_becomes_two_results_after_the_metrics() -> None:
    def scores(output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        chances = output.softmax(1)
        return {"ill": (chances[:, 1], target == 1), "worse": (chances[:, 2], (target == 2).float())}

    exported = export(Changed(scores=scores), columns(5, "int64"))
    names = ("accuracy", "ill_score", "ill_label", "worse_score", "worse_label")
    assert exported.metrics.output_names == exported.measured.outputs == names
    assert exported.measured.labels == ("ill_label", "worse_label")
    assert export(Changed(), columns(5, "int64")).measured.outputs == ("accuracy",)


def test_a_label_that_is_the_target_itself_has_a_program() -> None:
    class Certain(LogisticRegression):
        def scores(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
            return {"ill": (output.squeeze(-1).sigmoid(), target)}

    exported = export(Certain(), columns(5, "int64", 2))
    assert exported.metrics.output_names[-2:] == ("ill_score", "ill_label")


def test_an_output_narrower_than_the_categories_appears_before_submission() -> None:
    with pytest.raises((IndexError, InvalidInputError)):
        export(Changed(), columns(5, "int64", 5))
    assert export(Changed(), columns(5, "int64", 3)).parameter_count == 18


def test_state_in_python_that_export_would_freeze_is_noticed() -> None:
    class Drifting(LogisticRegression):
        calls = 0.0

        def loss(self, output: Tensor, target: Tensor) -> Tensor:
            self.calls += 1.0
            return super().loss(output, target) * self.calls

    with pytest.raises(InvalidInputError, match="differ from the plan's"):
        export(Drifting(), columns(5, "int64"))
