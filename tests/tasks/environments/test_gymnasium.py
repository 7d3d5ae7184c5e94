"""`Gymnasium`: what is played through `Trials` is what a plain loop over the same environment plays."""

import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.acting import Acting
from quickstudy.learners.agents.rl2 import RL2
from quickstudy.models.policy import RecurrentPolicy
from quickstudy.tasks.environments import Box, Discrete, Gymnasium
from quickstudy.tasks.trials import Trials


class Corridor(gym.Env):
    """Nine fields, a goal at one end that is not seen; begins near the middle, and is stopped after `patience` steps."""

    observation_space = spaces.Box(-4, 4, (1,), np.float32)

    def __init__(self, action=None, patience=7):
        self.action_space = spaces.Discrete(2) if action is None else action
        self.patience = patience
        self.at = np.zeros(1, np.float32)  # given as it is, and written into
        self.took = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal, self.steps = (options or {}).get("goal", 4), 0
        self.at[0] = self.np_random.integers(-1, 2)
        self.took.append((self.goal, seed))
        return self.at, {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.took.append(action)
        self.steps += 1
        forth = action - self.action_space.start == 1 if isinstance(self.action_space, spaces.Discrete) else action.sum() > 0
        self.at[0] = np.clip(self.at[0] + (1 if forth else -1), -4, 4)
        reward = 10.0 if self.at[0] == self.goal else -1.0 + self.np_random.normal()
        return self.at, reward, bool(self.at[0] == self.goal), self.steps == self.patience, {}


class Batched(gym.vector.VectorEnv):
    """The corridor, vectorised by itself: goals come stacked."""

    single_observation_space, single_action_space = Corridor.observation_space, spaces.Discrete(2)
    num_envs = 3

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        assert options is not None
        self.goal = options["goal"]
        self.at = self.np_random.integers(-1, 2, self.num_envs)
        return self.at[:, None].astype(np.float32), {}

    def step(self, actions):
        self.at = np.clip(self.at + 2 * actions - 1, -4, 4)
        there = self.at == self.goal
        return self.at[:, None].astype(np.float32), there - 0.5, there, np.zeros(self.num_envs, bool), {}


def goal(generator):
    return {"goal": int(generator.choice([-4, 4]))}


def action(row, step, at):
    """Runs one way for nine steps, then the other."""
    return (row + step // 9 + (at > 2)) % 2


class Runner:
    """A player by hand; remembers how many steps there were."""

    def begin(self, support):
        return 0

    def choose(self, memory, seen):
        return torch.tensor([action(row, memory, at) for row, at in enumerate(seen[:, 0].tolist())]), memory + 1

    def told(self, memory, reward, ended, live):
        return memory


def played(trials):
    """Steps of the episodes that count, `(seen, reward, over, live)` by trial."""
    return list(zip(*steps(trials.query), strict=True))


def steps(part):
    """The same by step."""
    agent, seen = Acting(Runner(), 0), []

    def act(found):
        seen.append(found.tolist())
        return agent.act(found)

    told = [[values.tolist() for values in step] for step in part.inputs.steps(act)]
    return [list(zip(found, *step, strict=True)) for found, step in zip(seen, told, strict=True)]


def by_hand(trials, make):
    """The same by a loop over one simulator a trial, which waits as the trials do."""
    rows, clock, generator = len(trials), 0, torch.Generator().manual_seed(trials.query.inputs.seed)
    played = [[] for _ in range(rows)]
    for _ in range(trials.episodes):
        episode = int(torch.randint(2**31, (), generator=generator))
        envs, seen, over = [], [], [False] * rows
        for number in trials.tasks["seed"].tolist():
            envs.append(make())
            seed = int(np.random.SeedSequence((number, episode)).generate_state(1)[0]) >> 1
            seen.append(envs[-1].reset(seed=seed, options=goal(np.random.default_rng(number)))[0].tolist())
        for step in range(trials.environment.horizon):
            for row in range(rows):
                if over[row]:
                    played[row].append((seen[row], 0.0, True, False))
                    continue
                before = seen[row]
                found, reward, terminated, truncated, _ = envs[row].step(action(row, clock, before[0]))
                seen[row], over[row] = found.tolist(), terminated or truncated
                cut = over[row] or step == trials.environment.horizon - 1
                played[row].append((before, float(np.float32(reward)), cut, True))
            clock += 1
            if all(over):
                break
    return [tuple(row) for row in played]


def vector(count, **settings):
    return lambda: SyncVectorEnv([Corridor] * count, **settings)


MAKES = {
    "single": Corridor,
    "vector": vector(5),
    "vector without copies": vector(5, copy=False),
    "vector, never reset by itself": vector(5, autoreset_mode=AutoresetMode.DISABLED),
}


@pytest.mark.parametrize("horizon", [4, 20])
@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_trials_are_what_a_plain_loop_plays(make, horizon):
    trials = Trials.draw(Gymnasium(make, vary=goal, horizon=horizon), 5, episodes=4, seed=1)
    found, expected = played(trials), by_hand(trials, Corridor)
    assert [len(row) for row in found] == [len(row) for row in expected]
    assert any(not live for row in found for *_, live in row)
    assert found == expected
    again = played(trials)  # the simulators are those of before
    assert again == expected
    returns = [sum(reward for _, reward, _, live in row if live) for row in expected]
    assert trials.score(Acting(Runner(), 0))["return"] == pytest.approx(returns, rel=1e-5)


def test_a_vector_env_that_resets_in_the_same_step_pays_the_same():
    environment = Gymnasium(vector(5, autoreset_mode=AutoresetMode.SAME_STEP), vary=goal, horizon=20)
    trials = Trials.draw(environment, 5, episodes=4, seed=1)
    found, expected = (
        [[step for step in row if step[3]] for row in rows] for rows in (played(trials), by_hand(trials, Corridor))
    )
    assert found == expected


def test_the_task_lasts_and_the_beginning_varies():
    made = []
    environment = Gymnasium(lambda: made.append(Corridor()) or made[-1], vary=goal, horizon=3)
    trials = Trials.draw(environment, 8, episodes=6, explored=2, seed=0)
    starts = [[at for at, *_ in step] for part in (trials.support, trials.query) for step in steps(part)[::3]]
    assert len(made) == 8  # as many simulators as trials, over all episodes
    resets = [[took for took in env.took if isinstance(took, tuple)] for env in made]
    assert all(len(row) == 8 and len({goal for goal, _ in row}) == 1 for row in resets)
    assert {row[0][0] for row in resets} == {-4, 4}
    assert len({seed for row in resets for _, seed in row}) == 8 * 8
    assert all(len({at for (at,) in begun}) > 1 for begun in zip(*starts, strict=True))


def test_trials_are_the_same_in_other_company():
    environment = Gymnasium(lambda: Corridor(patience=3), vary=goal, horizon=3)
    trials = Trials.draw(environment, 6, episodes=3, seed=2)
    assert played(trials[:4]) == played(trials)[:4]
    assert str(environment) == "Gymnasium(Corridor, horizon=3)"
    assert trials.hash == Trials.draw(Gymnasium(Corridor, horizon=3), 6, episodes=3, seed=2).hash


def test_a_native_vector_env_takes_options_stacked():
    environment = Gymnasium(Batched, vary=goal, horizon=9)
    trials = Trials.draw(environment, 3, episodes=2, seed=3)
    found = played(trials)
    assert found == played(trials)
    assert environment._simulators.env.goal.tolist() == [  # pyright: ignore
        goal(np.random.default_rng(number))["goal"] for number in trials.tasks["seed"].tolist()
    ]


def test_real_actions_are_cut_to_bounds_of_their_own_and_keep_shape_and_dtype():
    space = spaces.Box(np.array([[-1, 0], [-2, -3]], np.float64), np.array([[0.1, 2], [2, 3]], np.float64), dtype=np.float64)
    environment = Gymnasium(lambda: Corridor(space), horizon=3)
    assert environment.action == Box(4, -3, 3)
    generator = torch.Generator().manual_seed(0)
    tasks = environment.draw(1, generator)
    state, _ = environment.reset(tasks, generator)
    environment.step(tasks, state, torch.tensor([[5.0, -5.0, 1.5, -9.0]]), generator)
    took = environment._simulators.envs[0].took[-1]  # pyright: ignore
    assert took.dtype == np.float64
    assert took.tolist() == [[0.1, 0.0], [1.5, -3.0]]


@pytest.mark.parametrize("count", [None, 2])
def test_discrete_actions_and_observations_begin_where_they_begin(count):
    class Counter(gym.Env):
        action_space, observation_space = spaces.Discrete(3, start=-1), spaces.Discrete(4, start=5)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.at = 6
            return np.int64(6), {}

        def step(self, action):
            assert self.action_space.contains(action)
            self.at += action
            return self.at, float(action), False, False, {}

    environment = Gymnasium(Counter if count is None else lambda: SyncVectorEnv([Counter] * count), horizon=2)
    assert (environment.action, environment.observation) == (Discrete(3), 4)
    generator = torch.Generator()
    tasks = environment.draw(2, generator)
    state, seen = environment.reset(tasks, generator)
    assert seen.tolist() == [[0, 1, 0, 0]] * 2
    state, seen, reward, over = environment.step(tasks, state, torch.tensor([0, 2]), generator)
    assert seen.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    assert seen.dtype == reward.dtype == torch.float32
    assert reward.tolist() == [-1, 1]
    assert over.tolist() == [False, False]


CART_POLES = {
    "single": "CartPole-v1",
    "native": lambda: gym.make_vec("CartPole-v1", 3, vectorization_mode="vector_entry_point"),
}


@pytest.mark.parametrize("make", CART_POLES.values(), ids=CART_POLES)
def test_cart_pole(make):
    environment = Gymnasium(make)
    assert (environment.name, environment.observation, environment.horizon) == ("CartPole-v1", 4, 500)
    assert environment.action == Discrete(2)
    trials = Trials.draw(environment, 3, episodes=2, seed=0)
    rewards = [reward for reward, _, _ in trials.query.inputs.steps(lambda seen: torch.ones(3).long())]
    total = torch.stack(rewards).sum(0)
    assert ((total >= 2 * 8) & (total <= 2 * 11)).all()  # pushed one way it falls after 8 to 11 steps


class Odd(Corridor):
    """Gives what it should not."""

    def __init__(self, seen: Any = 0.0, reward: Any = 0.0):
        super().__init__()
        self.odd = seen, reward

    def step(self, action):
        seen, reward, terminated, truncated, info = super().step(action)
        return seen + self.odd[0], reward + self.odd[1], terminated, truncated, info


def with_spaces(action=None, observation=None):
    env = Corridor(action)
    if observation is not None:
        env.observation_space = observation
    return env


REFUSED = {
    "actions": (
        lambda: Gymnasium(lambda: with_spaces(spaces.MultiDiscrete([2, 3])), horizon=2),
        "Corridor takes actions of a MultiDiscrete space, and an agent gives a Box or a Discrete one; "
        "wrap it in a gymnasium.ActionWrapper that takes one of these",
    ),
    "observations": (
        lambda: Gymnasium(lambda: with_spaces(observation=spaces.Dict({"at": spaces.Discrete(2)})), horizon=2),
        "Corridor is observed in a Dict space, and an agent reads a Box or a Discrete one; "
        "wrap it in gymnasium.wrappers.FlattenObservation",
    ),
    "no horizon": (
        lambda: Gymnasium(Corridor),
        "Corridor does not say how many steps an episode has at most; give horizon",
    ),
    "horizon of 0": (lambda: Gymnasium(Corridor, horizon=0), "horizon=0: give at least 1"),
    "no environment": (
        lambda: Gymnasium(lambda: 3, horizon=1),  # pyright: ignore
        "make gave a int; it should give a gymnasium.Env or a gymnasium.vector.VectorEnv",
    ),
    "number of environments": (
        lambda: played(Trials.draw(Gymnasium(vector(2), horizon=2), 3)),
        "3 trials for a VectorEnv of 2 environments: make one of 3, "
        "or give a function that makes a single environment, which serves any number",
    ),
    "shape of observations": (
        lambda: played(Trials.draw(Gymnasium(lambda: Odd(seen=np.zeros(2)), horizon=2), 1)),
        "Odd gave an observation of shape (2,); it should be (1,): mend the environment",
    ),
    "shape of rewards": (
        lambda: played(Trials.draw(Gymnasium(lambda: Odd(reward=np.zeros(1)), horizon=2), 1)),
        "Odd gave a reward of shape (1,); it should be (): mend the environment",
    ),
    "reward": (
        lambda: played(Trials.draw(Gymnasium(lambda: Odd(reward=float("nan")), horizon=2), 2)),
        "Odd gave a reward that is not finite in trial 0; mend the environment",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals_say_what_and_how_to_mend_it(make, message):
    with pytest.raises(QuickstudyError) as caught:
        make()
    assert str(caught.value) == message


def test_an_id_that_nobody_knows():
    with pytest.raises(QuickstudyError, match=r"^Gymnasium cannot make CartPolo-v1: .*CartPolo"):
        Gymnasium("CartPolo-v1")


def test_without_gymnasium_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(QuickstudyError) as caught:
        Gymnasium("CartPole-v1")
    assert str(caught.value) == "environments of Gymnasium need the package gymnasium: pip install 'quickstudy[rl]'"


def test_two_batches_at_once_are_refused():
    environment = Gymnasium(Corridor, horizon=3)
    first, second = (
        Trials.draw(environment, 2, seed=seed).query.inputs.steps(lambda seen: torch.zeros(2).long()) for seed in (0, 1)
    )
    next(first)
    next(second)
    with pytest.raises(QuickstudyError, match=r"^the simulators of Corridor have left this state; play one batch"):
        next(first)


@pytest.mark.parametrize("action", [spaces.Discrete(2), spaces.Box(-1, 1, (2,), np.float32)], ids=["discrete", "box"])
def test_rl2_takes_an_outer_step(action):
    environment = Gymnasium(lambda: Corridor(action), vary=goal, horizon=6)
    trials = Trials.draw(environment, 8, episodes=2, explored=1, seed=0)
    torch.manual_seed(0)
    learner = RL2(RecurrentPolicy(environment, width=8), epochs=1, minibatches=2)
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.01)
    before = [weights.clone() for weights in learner.parameters()]
    for steps in learner.batches(trials):
        optimizer.zero_grad()
        loss = learner(steps)
        loss.backward()
        assert loss.isfinite()
        assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in learner.parameters())
        optimizer.step()
    assert all(not torch.equal(old, new) for old, new in zip(before, learner.parameters(), strict=True))
    scores = trials.score(learner.adapt(trials.support))["return"]
    assert len(scores) == 8
    assert np.isfinite(scores).all()
