"""Along one direction for all tensors, the fault of the smallest counts as much as that of the largest."""

from __future__ import annotations

import math

import pytest
import torch

from quickstudy.evaluation.differences import joint_error, tensor_error

SEEDS = range(20)
TOLERANCE = 1e-6
FLOOR = 0.03
"""A thousandth of the largest gradient, as `check_gradients` has it."""


@pytest.fixture(autouse=True)
def _double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


class Function:
    """A large tensor with a large gradient and numbers with small ones; gradients times `wrong` by name."""

    def __init__(self):
        torch.manual_seed(0)
        self.calls = 0
        self.at = {"large": torch.randn(40, 40), "one": torch.tensor(0.3), "other": torch.tensor(-0.7), "idle": torch.ones(5)}

    def __call__(self, moved) -> float:
        self.calls += 1
        at = {**self.at, **moved}
        return (at["large"].sin().sum() + 0.1 * at["one"].exp() + 0.1 * at["other"].exp() + 0.0 * at["idle"].sum()).item()

    def gradients(self, **wrong: float) -> dict[str, torch.Tensor]:
        at = self.at
        right = {
            "large": at["large"].cos(),
            "one": 0.1 * at["one"].exp(),
            "other": 0.1 * at["other"].exp(),
            "idle": torch.zeros(5),
        }
        return {name: wrong.get(name, 1.0) * gradient for name, gradient in right.items()}

    def error(self, seed: int, gradients: dict[str, torch.Tensor]) -> float:
        torch.manual_seed(seed)
        return joint_error(self, self.at, gradients, floor=FLOOR, tolerance=TOLERANCE)


@pytest.mark.parametrize("seed", SEEDS)
def test_right_gradients_have_no_error_and_cost_four_values(seed):
    function = Function()
    assert function.error(seed, function.gradients()) < TOLERANCE
    assert function.calls == 4


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["large", "one", "other"])
def test_an_error_of_any_one_tensor_shows_as_large_as_it_is(seed, name):
    error = Function().error(seed, Function().gradients(**{name: 1.001}))
    assert error > 1e-5
    if name != "large":  # a number has no direction to be lucky with
        assert 0.4e-3 < error < 1.6e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_two_wrong_numbers_do_not_cancel(seed):
    assert Function().error(seed, Function().gradients(one=2, other=2 / 3)) > 1e-5  # off by half of each, up and down


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gradient_that_should_be_zero_is_found(seed):
    gradients = Function().gradients()
    gradients["idle"] = gradients["idle"] + 0.01
    assert Function().error(seed, gradients) > 1e-3
    assert Function().error(seed, gradients | {"idle": torch.zeros(5)}) < TOLERANCE


def test_a_kink_nearby_is_no_error():
    at, gradients = {"x": torch.tensor([1e-3, -1e-3])}, {"x": torch.tensor([1.0, 0.0])}
    torch.manual_seed(0)
    assert joint_error(lambda moved: moved["x"].relu().sum().item(), at, gradients, floor=1e-3, tolerance=TOLERANCE) < TOLERANCE


def test_a_value_that_is_no_number_is_no_agreement():
    at = {"x": torch.ones(2)}
    assert math.isnan(joint_error(lambda moved: math.nan, at, {"x": torch.ones(2)}, floor=0.0, tolerance=TOLERANCE))
    assert math.isnan(tensor_error(lambda moved: math.nan, at, {"x": torch.ones(2)}, "x", floor=0.0, tolerance=TOLERANCE))


def test_a_gradient_that_is_no_number_agrees_with_nothing():
    function = Function()
    assert math.isnan(function.error(0, function.gradients(one=math.nan)))
    assert function.calls == 0


def test_far_out_of_the_domain_nearer_values_are_asked():
    at = {"x": torch.tensor(1e-3)}
    gradients = {"x": 1 / at["x"]}
    for error in (
        joint_error(lambda moved: moved["x"].log().item(), at, gradients, floor=1e-3, tolerance=TOLERANCE),
        tensor_error(lambda moved: moved["x"].log().item(), at, gradients, "x", floor=1e-3, tolerance=TOLERANCE),
    ):
        assert error < 1e-3


def test_the_error_of_one_tensor_is_relative_to_its_slope():
    function = Function()
    errors = {
        name: tensor_error(function, function.at, function.gradients(one=1.01), name, floor=FLOOR, tolerance=TOLERANCE)
        for name in function.at
    }
    assert errors.pop("one") == pytest.approx(0.01 / 1.01, rel=1e-4)
    assert max(errors.values()) < TOLERANCE
