"""`Camera`: pictures of Meta-World without a display."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
from importlib import import_module
from typing import Any

import numpy as np

from quickstudy.errors import QuickstudyError

SIZE = (240, 320)
"""Height and width of a picture."""
AIM, DISTANCE, AZIMUTH, ELEVATION = (0.0, 0.66, 0.12), 1.1, 215, -28
"""Where the camera looks, in metres, and from where, in metres and degrees: over a corner of the table, at the arm's own side."""
BALL, GREEN = 0.03, (0.0, 0.9, 0.3, 0.6)
"""The radius of the ball that marks the goal, and its colour."""


def choose_renderer() -> None:
    """Has MuJoCo render without a display where Linux can; it reads this when it is imported, and fails where EGL is missing."""
    if not sys.platform.startswith("linux") or "MUJOCO_GL" in os.environ:
        return
    try:
        ctypes.CDLL("libEGL.so.1")
        os.environ["MUJOCO_GL"] = "egl"
    except OSError:
        os.environ["MUJOCO_GL"] = "disable"


class Camera:
    """Renders an environment, with a ball where the goal is; the robot does not see it."""

    def __init__(self) -> None:
        self._renderer: Any = None

    def __call__(self, env: Any) -> np.ndarray:
        """A picture, `(height, width, 3)` bytes.

        Raises:
            QuickstudyError: nothing can be rendered here.
        """
        mujoco = import_module("mujoco")
        camera = mujoco.MjvCamera()
        camera.lookat, camera.distance, camera.azimuth, camera.elevation = AIM, DISTANCE, AZIMUTH, ELEVATION
        self._renderer = self._renderer or _renderer(env.model)
        self._renderer.update_scene(env.data, camera=camera)
        scene = self._renderer.scene
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            scene.flags[flag] = False  # which takes most of the time where there is no GPU
        ball = scene.geoms[scene.ngeom]
        at = np.asarray(env._target_pos, dtype=np.float64)
        mujoco.mjv_initGeom(
            ball, mujoco.mjtGeom.mjGEOM_SPHERE, np.full(3, BALL), at, np.eye(3).ravel(), np.array(GREEN, dtype=np.float32)
        )
        scene.ngeom += 1
        return self._renderer.render()


def _renderer(model: Any) -> Any:
    mujoco = import_module("mujoco")
    context = getattr(mujoco.gl_context, "GLContext", None)
    for its, name in ((mujoco.Renderer, "_gl_context"), (mujoco.Renderer, "_mjr_context"), (context, "_context")):
        if its:
            setattr(its, name, None)  # one that could not be made is closed too, and would print a traceback for want of these
    try:
        renderer = mujoco.Renderer(model, *SIZE)
    except Exception as error:  # of MuJoCo, of PyOpenGL or of a driver
        chosen, said = os.environ.get("MUJOCO_GL", ""), str(error).split(". ")[0]
        raise QuickstudyError(
            f"MuJoCo cannot render here (MUJOCO_GL={chosen}: {said}); on Linux without a display install EGL and a driver "
            "(libegl1 and libgl1-mesa-dri)"
        ) from error
    atexit.register(renderer.close)  # before the driver is closed, which is registered already
    return renderer
