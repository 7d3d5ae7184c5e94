"""Networks over images, and Omniglot's tasks."""

from quickstudy.compat.learn2learn.vision import benchmarks as benchmarks
from quickstudy.compat.learn2learn.vision import models as models
from quickstudy.compat.learn2learn.vision import transforms as transforms
