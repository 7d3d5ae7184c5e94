"""The option that several commands share: where they compute."""

from typing import Annotated

import typer

Device = Annotated[str, typer.Option(help="Where it computes: auto (the GPU where there is one), cpu, cuda, cuda:1.")]
