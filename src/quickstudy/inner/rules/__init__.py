"""Update rules: how the inner loop moves parameters along a gradient; torch's optimizers as functions with a derivative."""

from quickstudy.inner.rules.adam import Adam as Adam
from quickstudy.inner.rules.adam import AdamW as AdamW
from quickstudy.inner.rules.clip import ClipNorm as ClipNorm
from quickstudy.inner.rules.clip import ClipValue as ClipValue
from quickstudy.inner.rules.rates import Rates as Rates
from quickstudy.inner.rules.rmsprop import RMSprop as RMSprop
from quickstudy.inner.rules.rule import OnGradient as OnGradient
from quickstudy.inner.rules.rule import Rule as Rule
from quickstudy.inner.rules.rule import State as State
from quickstudy.inner.rules.sgd import SGD as SGD
