"""Tasks drawn from a dataset: `Taskset` over a `MetaDataset`, by a list of transforms."""

from quickstudy.compat.learn2learn.data import transforms as transforms
from quickstudy.compat.learn2learn.data.meta_dataset import FilteredMetaDataset as FilteredMetaDataset
from quickstudy.compat.learn2learn.data.meta_dataset import MetaDataset as MetaDataset
from quickstudy.compat.learn2learn.data.meta_dataset import UnionMetaDataset as UnionMetaDataset
from quickstudy.compat.learn2learn.data.task_dataset import DataDescription as DataDescription
from quickstudy.compat.learn2learn.data.task_dataset import TaskDataset as TaskDataset
from quickstudy.compat.learn2learn.data.task_dataset import Taskset as Taskset
from quickstudy.compat.learn2learn.data.utils import InfiniteIterator as InfiniteIterator
from quickstudy.compat.learn2learn.data.utils import OnDeviceDataset as OnDeviceDataset
from quickstudy.compat.learn2learn.data.utils import partition_task as partition_task
