"""What is to be the same on a GPU as on a processor; skipped where there is none."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from quickstudy import ANIL, MAML, Batch, Episodes, JointTraining, QuickstudyError, Reptile, Table, Task, evaluate, models
from quickstudy.learners.mamlpp import MAMLpp
from quickstudy.learners.prototypical import Prototypical
from quickstudy.learners.together import groups
from quickstudy.models.conv import conv4
from quickstudy.runs.opening import open_run
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch sees")
RECIPE = """\
learner: {{name: {learner}, outer_lr: 0.01}}
model: {{name: {model}, lora: {{r: 2}}}}
data: {{table: {table}}}
episodes: {{ways: 2, shots: 2, queries: 2, tasks: 2}}
steps: {steps}
checkpoint_every: 2
validation: {{ways: 2, shots: 2, queries: 2, episodes: 3, every: 2}}
"""


def outer(learner, tasks: list[Task]) -> dict[str, torch.Tensor]:
    value = learner(tasks)
    learned = {name: p for name, p in learner.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(value, list(learned.values()))
    return {"value": value.detach().cpu(), **{name: g.cpu() for name, g in zip(learned, found, strict=True)}}


def same_on_both(make, tasks: list[Task]) -> None:
    """The outer gradient there and here, in double precision."""
    here = outer(make().double().eval(), tasks)
    there = outer(make().double().eval().cuda(), [task.to("cuda") for task in tasks])
    for name, expected in here.items():
        assert_close(there[name], expected, rtol=1e-7, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")


def images(tasks: int = 3) -> list[Task]:
    generator = torch.Generator().manual_seed(0)

    def some() -> Batch:
        return Batch(torch.rand(8, 1, 28, 28, generator=generator, dtype=torch.float64), torch.arange(4).repeat(2))

    return [Task(some(), some(), seed=seed) for seed in range(tasks)]


@pytest.mark.parametrize("down", ["stride", "pool"])
@pytest.mark.parametrize("learner", [MAML, ANIL, MAMLpp, Reptile])
def test_nets_side_by_side(learner, down):
    def make():
        return learner(conv4(8, ways=4, down=down), 0.1, inner_steps=2)

    assert groups.together(make().double().cuda(), [task.to("cuda") for task in images()], list(make().parameters()))
    same_on_both(make, images())


def text_tasks(sentences, count: int = 2) -> list[Task]:
    texts, labels = sentences
    return Episodes(Table(texts, labels), ways=3, shots=2, queries=2, tasks=count, seed=0)[0]


@pytest.mark.parametrize(
    "settings", [{}, {"keep_graph": True}, {"gradient": "first_order"}, {"micro_batch": 2}, {"rule": "adam"}], ids=str
)
def test_adapters_on_a_sentence_encoder(tiny_bert, sentences, settings):
    def make():
        encoder = models.load(tiny_bert, lora={"r": 2})
        for name, parameter in encoder.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
        return MAML(encoder, 0.1, inner_steps=2, **settings)

    same_on_both(make, text_tasks(sentences))


def test_prototypes(tiny_bert, sentences):
    same_on_both(lambda: Prototypical(models.load(tiny_bert, lora={"r": 2})), text_tasks(sentences))


def test_dropout_is_replayed_in_the_recomputation(tiny_bert, sentences):
    tasks = [task.to("cuda") for task in text_tasks(sentences)]
    torch.manual_seed(0)
    model = models.load(tiny_bert, lora={"r": 2, "lora_dropout": 0.3}).cuda()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    recomputed, kept = (outer(MAML(model, 0.5, inner_steps=3, keep_graph=keep).train(), tasks) for keep in (False, True))
    for name, expected in kept.items():
        assert_close(recomputed[name], expected, rtol=1e-3, atol=1e-5)


def test_autocast_is_replayed_in_the_recomputation(tiny_bert, sentences):
    tasks = [task.to("cuda") for task in text_tasks(sentences)]
    model = models.load(tiny_bert, lora={"r": 2}).cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        recomputed, kept = (outer(MAML(model, 0.5, inner_steps=3, keep_graph=keep), tasks) for keep in (False, True))
    for name, expected in kept.items():
        assert_close(recomputed[name], expected, rtol=5e-2, atol=2e-3)


def test_a_run_goes_there_and_back(tiny_bert, sentences, tmp_path):
    texts, labels = sentences
    table = tmp_path / "tickets.csv"
    rows = [f"{text} {extra},{label} {extra}" for extra in ("x", "y", "z") for text, label in zip(texts, labels, strict=True)]
    table.write_text("\n".join(["text,label", *rows]))

    def recipe(steps: int) -> Recipe:
        (tmp_path / "recipe.yaml").write_text(RECIPE.format(learner="prototypical", model=tiny_bert, table=table, steps=steps))
        return Recipe.read(tmp_path / "recipe.yaml")

    train(recipe(4), tmp_path / "run", device="cuda")
    assert "cuda" in (tmp_path / "run" / "log.txt").read_text()
    learner = open_run(tmp_path / "run")[1]
    tasks = text_tasks(sentences, 5)
    there = evaluate(learner.cuda(), tasks)["results"][0]["mean"]
    assert evaluate(learner.cpu(), tasks)["results"][0]["mean"] == pytest.approx(there, abs=0.1)


def test_a_recurrent_net_without_second_derivative_is_named():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    batch = Batch(torch.randn(4, 5, 3), torch.tensor([0, 1, 0, 1])).to("cuda")
    with pytest.raises(QuickstudyError, match="cuDNN"):
        MAML(Last().cuda(), 0.1, inner_steps=1)([Task(batch, batch)])
    with torch.backends.cudnn.flags(enabled=False):
        MAML(Last().cuda(), 0.1, inner_steps=1)([Task(batch, batch)])


def test_an_agent_on_a_gpu_plays_as_on_a_processor():
    from quickstudy import RL2, Bandits, Trials
    from quickstudy.models.policy import RecurrentPolicy

    trials, learner = Trials.draw(Bandits(3), 64, episodes=5), RL2(RecurrentPolicy(Bandits(3), 8))
    here, score = learner.play(trials), trials.score(learner.adapt(trials.support))
    loss = learner(here).item()
    learner.cuda()
    there = learner.play(trials)
    assert_close(there.log_probs, here.log_probs, atol=1e-4, rtol=1e-4)
    assert trials.score(learner.adapt(trials.support)) == score
    found = learner(there)
    assert found.is_cuda
    assert found.item() == pytest.approx(loss, abs=1e-3)


def test_a_language_model_learns_there_from_blocks_that_are_here(tiny_llama):
    from quickstudy.evaluation.watched import learn_watched

    words = torch.Generator().manual_seed(0)
    some = [torch.randint(0, 8, (9,), generator=words) for _ in range(4)]
    batch = Batch([block[:-1] for block in some], [block[1:] for block in some])

    def found(device: str) -> list[float]:
        joint = JointTraining(models.load(tiny_llama, lora={"r": 2, "layers": 1})).to(device)
        watched = learn_watched(MAML(joint.model, 0.01, gradient="first_order"), batch, [batch])
        return [joint([Task(batch, batch)]).item(), *(value for step in watched.curve for value in step)]

    assert found("cuda") == pytest.approx(found("cpu"), abs=1e-3)
