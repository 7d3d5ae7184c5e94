"""Models that are adapted: `models.load` opens a pretrained encoder; any `nn.Module` serves as well."""

from quickstudy.models.loading import load as load
