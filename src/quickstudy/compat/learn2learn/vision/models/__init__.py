"""The networks of the few-shot literature, under learn2learn's names: `features`, then `classifier`."""

from quickstudy.compat.learn2learn.vision.models.cnn4 import CNN4 as CNN4
from quickstudy.compat.learn2learn.vision.models.cnn4 import CNN4Backbone as CNN4Backbone
from quickstudy.compat.learn2learn.vision.models.cnn4 import ConvBase as ConvBase
from quickstudy.compat.learn2learn.vision.models.cnn4 import ConvBlock as ConvBlock
from quickstudy.compat.learn2learn.vision.models.cnn4 import MiniImagenetCNN as MiniImagenetCNN
from quickstudy.compat.learn2learn.vision.models.cnn4 import OmniglotCNN as OmniglotCNN
from quickstudy.compat.learn2learn.vision.models.cnn4 import OmniglotFC as OmniglotFC
from quickstudy.compat.learn2learn.vision.models.cnn4 import fc_init_ as fc_init_
from quickstudy.compat.learn2learn.vision.models.cnn4 import maml_init_ as maml_init_
from quickstudy.compat.learn2learn.vision.models.resnet12 import ResNet12 as ResNet12
from quickstudy.compat.learn2learn.vision.models.resnet12 import ResNet12Backbone as ResNet12Backbone
