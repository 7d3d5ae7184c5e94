"""Steps a processor second of RL^2 on bandits of 5 arms and 10 pulls, updates included, beside RecurrentPPO of sb3-contrib.

pip install --no-deps stable-baselines3 sb3-contrib cloudpickle
python benchmarks/against_sb3.py [ROUNDS]

Both: one recurrent layer of 64 (a GRU; RecurrentPPO has an LSTM alone), trials that are episodes of ten pulls, three epochs of
eight minibatches, 1,024 trials an update, one thread; RecurrentPPO plays 8 or 64 environments side by side. In turn, so that both
have the same machine. Prints a JSON line for each: the medians over the rounds, and the median of the ratios.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import gymnasium
import numpy as np
import torch

from quickstudy import RL2, Bandits, Trials
from quickstudy.models.policy import RecurrentPolicy

ARMS, PULLS, TRIALS = 5, 10, 1024


class Bandit(gymnasium.Env):
    """A trial as an episode: observed are the last action and the last reward, as RL^2 has it."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (ARMS + 1,), np.float32)
    action_space = gymnasium.spaces.Discrete(ARMS)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.pays, self.pulled = self.np_random.random(ARMS), 0
        return np.zeros(ARMS + 1, np.float32), {}

    def step(self, action):
        reward = float(self.np_random.random() < self.pays[action])
        seen = np.zeros(ARMS + 1, np.float32)
        seen[action], seen[-1] = 1.0, reward
        self.pulled += 1
        return seen, reward, self.pulled == PULLS, False, {}


def ours():
    learner = RL2(RecurrentPolicy(Bandits(ARMS), 64))
    optimizer, seed = torch.optim.Adam(learner.parameters(), lr=learner.outer_lr), 0

    def update() -> int:
        nonlocal seed
        seed += 1
        for part in learner.batches(Trials.draw(Bandits(ARMS), TRIALS, episodes=PULLS, seed=seed)):
            optimizer.zero_grad()
            learner(part).backward()
            optimizer.step()
        return TRIALS * PULLS

    return update


def theirs(side_by_side: int):
    from sb3_contrib import RecurrentPPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    steps = TRIALS * PULLS // side_by_side
    settings = {"n_steps": steps, "batch_size": TRIALS * PULLS // 8, "n_epochs": 3, "gamma": 1.0, "ent_coef": 0.05}
    model = RecurrentPPO(
        "MlpLstmPolicy",
        DummyVecEnv([Bandit] * side_by_side),
        **settings,
        policy_kwargs={"lstm_hidden_size": 64, "net_arch": []},
        device="cpu",
    )

    def update() -> int:
        model.learn(TRIALS * PULLS, reset_num_timesteps=False)
        return TRIALS * PULLS

    return update


def speed(update) -> float:
    begun = time.process_time()
    return update() / (time.process_time() - begun)


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    for side_by_side in (8, 64):
        first, second = ours(), theirs(side_by_side)
        first(), second()
        found = [(statistics.median(speed(first) for _ in range(3)), speed(second)) for _ in range(rounds)]
        mine, peers = (round(statistics.median(column)) for column in zip(*found, strict=True))
        ratio = round(statistics.median(a / b for a, b in found), 1)
        print(json.dumps({"environments": side_by_side, "ours": mine, "RecurrentPPO": peers, "ratio": ratio}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
