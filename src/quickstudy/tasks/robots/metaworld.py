"""`metaworld_robot`: a task family of Meta-World (Yu et al. 2019), with its published training and test goals."""

from __future__ import annotations

import difflib
import os
import warnings
from typing import Any

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.robots.metaworld_camera import Camera, choose_renderer
from quickstudy.tasks.robots.robot import Robot

HAND = (0.1, 0.1, 0.05)
"""How far from its usual place the hand begins, at most, in metres along each axis."""
PUBLISHED = 0
"""The seed of the benchmark ML1, which decides its 50 training and 50 test goals."""


def metaworld_robot(name: str) -> Robot:
    """A Sawyer arm and one of the fifty families, such as "reach-v3", "push-v3" or "pick-place-v3".

    The goal is hidden: nothing in an observation tells it. Hand and object begin elsewhere in each episode, unlike in the
    benchmark, where an episode of a goal always begins alike: there, repeating the actions of one demonstration would do.

    Raises:
        QuickstudyError: Meta-World is not installed, or has no such family.
    """
    choose_renderer()
    try:
        import metaworld
        from metaworld.policies import ENV_POLICY_MAP
    except ImportError:
        raise QuickstudyError(
            "the robots of Meta-World need the packages metaworld and mujoco: pip install 'quickstudy[robots]' "
            "(one of your own is given as my_arm.py:arm)"
        ) from None
    except Exception as error:  # of MuJoCo or PyOpenGL, where what is to render is missing
        chosen = f"MUJOCO_GL={os.environ.get('MUJOCO_GL', '')}"
        raise QuickstudyError(f"mujoco cannot be imported with {chosen} ({error}); unset it, or set MUJOCO_GL=disable") from error
    if name not in metaworld.ML1.ENV_NAMES:
        near = difflib.get_close_matches(name, metaworld.ML1.ENV_NAMES, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else "reach-v3, push-v3 and pick-place-v3 are some of its 50"
        raise QuickstudyError(f"Meta-World has no family {name!r}; {hint} (one of your own is given as my_arm.py:arm)")
    benchmark, expert = metaworld.ML1(name, seed=PUBLISHED), ENV_POLICY_MAP[name]()

    def show(env: Any, seen: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():  # it warns of actions beyond the bounds, which are cut
            warnings.simplefilter("ignore")
            return expert.get_action(np.concatenate([seen[:-3], env._target_pos]))

    return Robot(
        name,
        make=benchmark.train_classes[name],
        tasks={"train": benchmark.train_tasks, "test": benchmark.test_tasks},
        set_task=_set_task,
        expert=show,
        horizon=500,
        render=Camera(),
    )


def _set_task(env: Any, task: Any, generator: np.random.Generator) -> None:
    """The goal of a task, with hand and object anywhere.

    A task is a vector: where the object begins and where the goal is, or one of the two alone. The environment asks for
    vectors until object and goal are far enough apart.
    """
    env.set_task(task)
    vector, space = env._last_rand_vec, env._random_reset_space

    def drawn() -> np.ndarray:
        if len(vector) < 6:
            return vector
        return np.concatenate([generator.uniform(space.low[:3], space.high[:3]), vector[3:]])

    env._get_state_rand_vec = drawn
    env.hand_init_pos = env.init_config["hand_init_pos"] + generator.uniform(-np.array(HAND), HAND)
