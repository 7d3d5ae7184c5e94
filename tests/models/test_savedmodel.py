"""SavedModels as encoders: what they take, that they give what TensorFlow gives, what they keep, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from quickstudy import MAML, Batch, Default, LogisticProbe, PriorHead, Prototypical, QuickstudyError, Siamese, load, models
from quickstudy.cli.main import run
from quickstudy.models.image_encoder import ImageEncoder
from quickstudy.models.loading import is_language_model, made
from quickstudy.runs.opening import open_run
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train

IMPORTED = "tensorflow" in sys.modules
needs_tensorflow = pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs quickstudy[tensorflow]")
WORDS = ["lost", "stolen", "late", "slow", "refund", "back", "card", "my", "the", "is"]
LABELLED = [
    *(("my card is lost", "lost"), ("the card stolen", "lost"), ("lost the card", "lost"), ("stolen is my card", "lost")),
    *(("the card is late", "late"), ("my card is slow", "late"), ("late is the card", "late"), ("slow my card", "late")),
]
TEXTS, LABELS = map(list, zip(*LABELLED, strict=True))


@pytest.fixture(scope="module")
def tf():
    from quickstudy.models.savedmodel_graph import tensorflow

    return tensorflow("a test")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """Where the SavedModels of these tests are written."""
    return tmp_path_factory.mktemp("savedmodels")


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def text(tf, base) -> Path:
    """Reads strings by a lookup table of its own, and gives a vector a text, and one a word."""
    (base / "words.txt").write_text("\n".join(WORDS) + "\n")

    class Text(tf.Module):
        def __init__(self):
            super().__init__()
            kinds = (tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
            self.table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(str(base / "words.txt"), *kinds), len(WORDS))
            meaning = np.eye(len(WORDS) + 1, 6, dtype=np.float32)[[0, 0, 1, 1, *range(2, 9)]]
            self.vectors = tf.Variable(meaning + numbers(*meaning.shape) / 10)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            words = tf.strings.split(texts).to_tensor("")
            states = tf.gather(self.vectors, self.table.lookup(words))
            known = tf.cast(words != "", tf.float32)[..., None]
            mean = tf.reduce_sum(states * known, 1) / tf.maximum(tf.reduce_sum(known, 1), 1)
            return {"default": mean, "words": states, "count": tf.reduce_sum(known, [1, 2])}

    module = Text()
    tf.saved_model.save(module, str(base / "text"), signatures=module.__call__)
    (base / "words.txt").unlink()  # so that nothing but the asset can be read
    return base / "text"


def own(tf, folder: Path, **inputs):
    """What TensorFlow itself gives."""
    return tf.saved_model.load(str(folder)).signatures["serving_default"](**inputs)


def test_tensorflow_is_imported_for_a_savedmodel_alone():
    assert not IMPORTED


@needs_tensorflow
def test_text_gives_what_tensorflow_gives(tf, text):
    encoder = models.load(f"savedmodel:{text}")
    many = [" ".join(np.random.default_rng(i).choice(WORDS, i % 7 + 1)) for i in range(40)]
    expected = torch.tensor(own(tf, text, texts=tf.constant(many))["default"].numpy())
    for found in (encoder(many), encoder.embed(many)):
        assert_close(found, expected, rtol=0, atol=1e-6)
    assert (encoder.dim, encoder.reads, is_language_model(f"savedmodel:{text}")) == (6, "sentence", False)
    assert encoder([]).shape == encoder.embed([]).shape == (0, 6)
    assert not list(encoder.parameters())


@needs_tensorflow
def test_vectors_of_words_are_averaged_without_their_neighbours_padding(tf, text):
    encoder = models.load(f"savedmodel:{text}#words")
    for each, found in zip(TEXTS, encoder.embed(TEXTS), strict=True):
        expected = own(tf, text, texts=tf.constant([each]))["words"].numpy().mean(axis=(0, 1))
        assert_close(found, torch.tensor(expected), rtol=0, atol=1e-6)


@needs_tensorflow
def test_learners_work_on_it_and_what_they_learn_opens_again(text, tmp_path):
    encoder = models.load(f"savedmodel:{text}")
    for learner in (Prototypical(encoder), LogisticProbe(encoder), PriorHead(encoder), Default(encoder)):
        adapted = learner.adapt(Batch(TEXTS, LABELS))
        assert adapted.predict(TEXTS) == LABELS
        adapted.save_pretrained(tmp_path / learner.title)
        opened = load(tmp_path / learner.title)
        assert torch.equal(opened.predict_proba(TEXTS), adapted.predict_proba(TEXTS))
    assert made(encoder.spec).spec == encoder.spec
    with pytest.raises(QuickstudyError, match=r"selects no parameter, .* 0 parameters are none; .* prototypical, "):
        MAML(encoder)
    with pytest.raises(QuickstudyError, match="thorough cannot fine-tune savedmodel"):
        Default(encoder, thorough=True)


@needs_tensorflow
def test_adapt_and_predict_on_the_command_line(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(text, "module")
    with open("own.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *LABELLED])
    assert run(["adapt", "savedmodel:module", "--support", "own.csv", "--out", "clf"]) == 0
    capsys.readouterr()
    assert run(["predict", "clf", "stolen card"]) == 0
    assert capsys.readouterr().out.startswith("lost\t")
    kept = json.loads(Path("clf/quickstudy.json").read_text())["model"]
    assert (kept["name"], len(kept["fingerprint"])) == ("savedmodel:module", 32)
    assert sum(path.stat().st_size for path in Path("clf").rglob("*")) < 20_000  # no model in it
    with Path("module/assets/words.txt").open("a") as file:
        file.write("new\n")
    with pytest.raises(QuickstudyError, match="savedmodel:module has changed: its files are not those that this was learned on"):
        load("clf")
    shutil.rmtree("module")
    assert run(["predict", "clf", "stolen card"]) == 2
    assert "there is no folder module" in capsys.readouterr().err


RECIPE = """
model: {{name: "{model}", lora: {lora}}}
learner: {{name: siamese, outer_lr: 0.05}}
data: {{table: own.csv}}
episodes: {{ways: 2, shots: 1, queries: 1, tasks: 2}}
validation: null
steps: 3
"""


@needs_tensorflow
def test_a_run_knows_the_files_it_was_trained_on(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(text, "module")
    with open("own.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((t, f"{y}{n}") for n in range(3) for t, y in LABELLED)])
    Path("recipe.yaml").write_text(RECIPE.format(model="savedmodel:module", lora="null"))
    train(Recipe.read("recipe.yaml"), "run")
    learner = open_run("run")[1]
    assert isinstance(learner, Siamese)
    assert learner.adapt(Batch(TEXTS, LABELS)).predict(TEXTS) == LABELS
    Path("module/assets/words.txt").write_text("\n".join(reversed(WORDS)) + "\n")
    with pytest.raises(QuickstudyError, match=r"belongs to another model \(.* lacks model.module.saved_model_files_"):
        open_run("run")
    Path("recipe.yaml").write_text(RECIPE.format(model="savedmodel:module", lora=4))
    with pytest.raises(QuickstudyError, match=r"recipe.yaml:2:\d+: lora: savedmodel:module is frozen"):
        train(Recipe.read("recipe.yaml"), "other")


@needs_tensorflow
def test_embeddings_are_kept_on_disk_for_these_files_alone(text, tmp_path, monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    shutil.copytree(text, tmp_path / "module")
    name, calls = f"savedmodel:{tmp_path / 'module'}", []
    first = models.load(name).memory(TEXTS)
    later = models.load(name)
    monkeypatch.setattr(later.module, "forward", lambda part: calls.append(part) or torch.zeros(len(part), 6))
    assert_close(later.memory(TEXTS), first, rtol=0, atol=0)
    assert not calls
    (tmp_path / "module/assets/words.txt").write_text("\n".join(reversed(WORDS)) + "\n")
    assert not torch.equal(models.load(name).memory(TEXTS)[TEXTS[0]], first[TEXTS[0]])


@needs_tensorflow
def test_a_module_is_found_in_the_cache_of_tensorflow_hub(text, tmp_path, monkeypatch):
    handle = "https://tfhub.dev/someone/text/1"
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    with pytest.raises(QuickstudyError, match=r"there is no folder https://.* in the cache of tensorflow_hub \(.*resolve"):
        models.load(f"savedmodel:{handle}")
    shutil.copytree(text, tmp_path / hashlib.sha1(handle.encode()).hexdigest())
    assert models.load(f"savedmodel:{handle}#words").dim == 6


@needs_tensorflow
def test_a_call_without_signatures_is_taken_where_it_does_not_train(tf, base):
    class Called(tf.Module):
        def __init__(self):
            super().__init__()
            self.scale = tf.Variable(3.0)

        @tf.function
        def __call__(self, texts, training=False):
            return (self.scale if training else 1.0) * tf.cast(tf.strings.length(texts), tf.float32) * tf.constant([[1.0, 2.0]])

    module = Called()
    for training in (True, False):
        module.__call__.get_concrete_function(tf.TensorSpec([None, 1], tf.string), training=training)
    tf.saved_model.save(module, str(base / "called"))
    encoder = models.load(f"savedmodel:{base / 'called'}")
    assert encoder.embed(["four", "six"]).tolist() == [[4.0, 8.0], [3.0, 6.0]]


@pytest.fixture(scope="module")
def image(tf, base) -> Path:
    """Reads images of any size."""

    class Pixels(tf.Module):
        def __init__(self):
            super().__init__()
            self.kernel = tf.Variable(numbers(3, 3, 3, 5))

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
        def __call__(self, images):
            places = tf.nn.relu(tf.nn.conv2d(images, self.kernel, 2, "SAME"))
            return {"embedding": tf.reduce_mean(places, [1, 2]), "places": places}

    module = Pixels()
    tf.saved_model.save(module, str(base / "image"), signatures=module.__call__)
    return base / "image"


@needs_tensorflow
@pytest.mark.parametrize(("said", "black", "white"), [("", 0, 1), ("&range=-1,1", -1, 1)])
def test_images_give_what_tensorflow_gives(tf, image, tmp_path, said, black, white):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    files = [str(tmp_path / f"{i}.png") for i in range(3)]
    for array, file in zip(pixels, files, strict=True):
        Image.fromarray(array).save(file)
    encoder = models.load(f"savedmodel:{image}?size=8{said}")
    assert isinstance(encoder, ImageEncoder)
    given = own(tf, image, images=tf.constant(pixels / np.float32(255) * (white - black) + black))
    assert_close(encoder.embed(files), torch.tensor(given["embedding"].numpy()), rtol=0, atol=1e-6)
    assert_close(encoder.embed(encoder.pictures(files)), encoder.embed(files))
    places = models.load(f"savedmodel:{image}?size=8{said}#places")
    assert_close(places.memory(files)[files[1]], encoder.embed(files)[1], rtol=0, atol=1e-6)
    adapted = Prototypical(encoder).adapt(Batch(files, ["a", "b", "c"]))
    assert adapted.predict(files) == ["a", "b", "c"]
    with pytest.raises(QuickstudyError, match="my card is lost is no image"):
        encoder.embed(["my card is lost"])


@needs_tensorflow
def test_an_image_model_is_given_no_sentences_on_the_command_line(image, tmp_path, capsys):
    (tmp_path / "own.csv").write_text("text,label\nhello,a\ngood bye,b\n")
    assert run(["adapt", f"savedmodel:{image}?size=8", "--support", str(tmp_path / "own.csv"), "--out", "clf"]) == 2
    assert "reads images and own.csv holds sentences" in capsys.readouterr().err


@needs_tensorflow
def test_recordings_are_read_at_the_models_rate_and_window_by_window(tf, base, tmp_path):
    from scipy.io import wavfile

    class Sound(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 8])])
        def windows(self, samples):
            return tf.stack([tf.reduce_mean(samples, 1), tf.reduce_max(samples, 1)], 1)

        @tf.function(input_signature=[tf.TensorSpec([None])])
        def waveform(self, samples):
            return tf.zeros([3]), tf.stack([samples[::2], samples[1::2]], 1)  # scores, frames

    module = Sound()
    functions = {"serving_default": module.windows, "frames": module.waveform}
    tf.saved_model.save(module, str(base / "sound"), signatures=functions)
    samples = np.linspace(-1, 1, 12, dtype=np.float32)
    wavfile.write(tmp_path / "a.wav", 16_000, samples)
    wavfile.write(tmp_path / "b.wav", 16_000, np.stack([samples, -samples + 1], 1))
    files = [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    encoder = models.load(f"savedmodel:{base / 'sound'}?rate=16000")
    parts = np.pad(samples, (0, 4)).reshape(2, 8)
    expected = torch.tensor([parts.mean(), parts.max(axis=1).mean()])
    assert_close(encoder.embed(torch.tensor(samples)[None])[0], expected)
    assert_close(encoder.embed(files), torch.stack([expected, torch.tensor([0.375, 0.5])]))
    assert set(encoder.memory(files)) == set(files)
    assert encoder.reads == "recording"
    assert Default(encoder).adapt(Batch(files * 2, ["a", "b"] * 2)).predict(files) == ["a", "b"]
    frames = models.load(f"savedmodel:{base / 'sound'}?signature=frames#output_1")
    assert_close(frames.embed(torch.tensor(samples)[None])[0], torch.tensor([samples[::2].mean(), samples[1::2].mean()]))
    with pytest.raises(QuickstudyError, match=r"does not say at which rate it hears; .*\?rate=16000"):
        frames.embed(files)
    wavfile.write(tmp_path / "c.wav", 8_000, np.ones(80, np.int16) * 2**14)
    assert_close(encoder._read(tmp_path / "c.wav")[20:-20], np.full(120, 0.5, np.float32), rtol=0, atol=0.02)
    (tmp_path / "d.wav").write_text("no sound")
    for file, what in ((tmp_path / "d.wav", "cannot be read as a recording"), (tmp_path / "e.wav", "is no recording")):
        with pytest.raises(QuickstudyError, match=what):
            encoder.embed([str(file)])


def first_format(tf, folder: Path, words: Path, *, extra=None) -> None:
    """A module as TensorFlow 1 wrote it: a graph with a saver, and one more for training; of strings by a table in its assets."""
    v1 = tf.compat.v1
    builder = v1.saved_model.Builder(str(folder))
    for number, tags in enumerate(([], ["train"])):
        with tf.Graph().as_default(), v1.Session() as session:
            texts = v1.placeholder(tf.string, [None])
            vectors = v1.get_variable("vectors", initializer=numbers(len(WORDS) + 1, 4), use_resource=False)
            place = tf.constant(str(words))
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, place)
            kinds = (tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
            table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(place, *kinds), len(WORDS))
            found = tf.gather(vectors, table.lookup(texts)) * (number + 1)
            if extra:
                found = extra(found)
            v1.Session.run(session, [v1.global_variables_initializer(), v1.tables_initializer()])
            info = v1.saved_model.build_tensor_info
            signature = v1.saved_model.build_signature_def({"text": info(texts)}, {"default": info(found), "other": info(found)})
            settings = {"assets_collection": v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS), "main_op": v1.tables_initializer()}
            if number:
                builder.add_meta_graph(tags, {"default": signature}, **settings)
            else:
                builder.add_meta_graph_and_variables(session, tags, {"default": signature}, **settings)
    builder.save()


@needs_tensorflow
def test_the_first_format_of_tensorflow_hub(tf, base):
    (base / "words1.txt").write_text("\n".join(WORDS) + "\n")
    first_format(tf, base / "first", base / "words1.txt")
    (base / "words1.txt").unlink()
    encoder = models.load(f"savedmodel:{base / 'first'}")
    theirs = tf.saved_model.load(str(base / "first"), tags=[]).signatures["default"](tf.constant(["late", "lost"]))["default"]
    assert_close(encoder.embed(["late", "lost"]), torch.tensor(theirs.numpy()), rtol=0, atol=1e-6)
    assert_close(theirs.numpy(), numbers(len(WORDS) + 1, 4)[[2, 0]])


@needs_tensorflow
@pytest.mark.skipif(importlib.util.find_spec("basic_pitch") is None, reason="pip install --no-deps basic-pitch")
def test_a_real_one(tf):
    package = importlib.util.find_spec("basic_pitch").submodule_search_locations[0]
    folder = Path(package, "saved_models", "icassp_2022", "nmp")
    with pytest.raises(QuickstudyError, match=r"several outputs, .* \(found: contour \(172, 264\), note \(172, 88\), onset"):
        models.load(f"savedmodel:{folder}")
    encoder = models.load(f"savedmodel:{folder}?rate=22050#note")
    sound = numbers(2, encoder.samples) / 10
    theirs = encoder.module.features._model(tf.constant(sound[..., None]))["note"].numpy().mean(axis=1)
    assert_close(encoder.embed(torch.tensor(sound)), torch.tensor(theirs), rtol=0, atol=1e-6)


def exported(tf, folder: Path, function, spec) -> str:
    """A SavedModel of one function."""
    module = tf.Module()
    module.f = tf.function(function, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures=module.f)
    return f"savedmodel:{folder}"


def reads(tf, x):
    return tf.strings.to_number(tf.io.read_file(x[0]))


def writes(tf, x):
    tf.io.write_file("/tmp/never", x[0])
    return tf.zeros([1, 2])


def calls(tf, x):
    return tf.py_function(lambda _: np.zeros((1, 2), np.float32), [x], tf.float32)


def prints(tf, x):
    tf.print(x, output_stream="file:///tmp/never")
    return tf.zeros([1, 2])


def lists(tf, x):
    return tf.cast(tf.strings.length(tf.io.matching_files(x[0])), tf.float32)[:, None]


def restores(tf, x):
    return tf.raw_ops.RestoreV2(prefix=x[0], tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]


@needs_tensorflow
@pytest.mark.parametrize(
    ("function", "operation"),
    [
        *((reads, "ReadFile"), (writes, "WriteFile"), (calls, "EagerPyFunc"), (prints, "PrintV2"), (lists, "MatchingFiles")),
        (restores, "RestoreV2"),
    ],
)
def test_a_graph_that_does_more_than_compute_is_refused(tf, tmp_path, function, operation):
    inner = tf.function(lambda x: function(tf, x))  # in a function below the signature's
    name = exported(tf, tmp_path / "model", lambda x: {"default": inner(x)}, tf.TensorSpec([None], tf.string))
    with pytest.raises(QuickstudyError, match=rf"the operation {operation} in the function \S+ (reads|calls|does)"):
        models.load(name)


def rewritten(folder: Path, new: Path, change) -> str:
    """A copy with another saved_model.pb."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    shutil.copytree(folder, new)
    model = SavedModel()
    model.ParseFromString((new / "saved_model.pb").read_bytes())
    change(model.meta_graphs[0])
    (new / "saved_model.pb").write_bytes(model.SerializeToString())
    return f"savedmodel:{new}"


@needs_tensorflow
def test_no_file_but_its_own_assets_is_read(tf, text, tmp_path):
    def outside(graph):
        graph.asset_file_def[0].filename = "../../words.txt"

    def constant(graph):  # the table's file becomes a constant of the function
        for function in graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "InitializeTableFromTextFileV2":
                    made = function.node_def.add(name="secret", op="Const")
                    made.attr["dtype"].type = tf.string.as_datatype_enum
                    made.attr["value"].tensor.CopyFrom(tf.make_tensor_proto("/etc/hostname"))
                    node.input[1] = "secret:output:0"
                    return

    def captured(graph):  # what the function captured is not the asset
        for function in graph.object_graph_def.concrete_functions.values():
            kinds = [graph.object_graph_def.nodes[bound].WhichOneof("kind") for bound in function.bound_inputs]
            if "asset" in kinds:
                function.bound_inputs[kinds.index("asset")] = 0

    def twice(graph):  # which of two operations of one name runs is not to be known
        for function in graph.graph_def.library.function:
            first = function.node_def[0]
            function.node_def.add().CopyFrom(first)
            first.op = "ReadFile"

    with pytest.raises(QuickstudyError, match="two of its operations or functions have the same name"):
        models.load(rewritten(text, tmp_path / "twice", twice))
    with pytest.raises(QuickstudyError, match=r"its asset '../../words.txt' leads out of the folder"):
        models.load(rewritten(text, tmp_path / "outside", outside))
    for change in (constant, captured):
        with pytest.raises(QuickstudyError, match=r"a lookup table in the function .* is none of its own assets"):
            models.load(rewritten(text, tmp_path / change.__name__, change))


@needs_tensorflow
def test_symbolic_links_lead_nowhere_else(text, tmp_path):
    shutil.copytree(text, tmp_path / "module")
    (tmp_path / "module/assets/words.txt").rename(tmp_path / "words.txt")
    (tmp_path / "module/assets/words.txt").symlink_to(tmp_path / "words.txt")
    with pytest.raises(QuickstudyError, match=r"assets/words.txt leads out of the folder .*cp -rL"):
        models.load(f"savedmodel:{tmp_path / 'module'}")
    (tmp_path / "link").symlink_to(text)  # the folder itself may be one
    assert models.load(f"savedmodel:{tmp_path / 'link'}").dim == 6


@needs_tensorflow
def test_a_graph_of_the_first_format_restores_from_its_own_checkpoint_alone(tf, tmp_path):
    (tmp_path / "words").write_text("\n".join(WORDS) + "\n")

    def other(found):
        values = tf.raw_ops.RestoreV2(prefix="/tmp/other", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])
        return found + tf.reduce_sum(values[0])

    first_format(tf, tmp_path / "model", tmp_path / "words", extra=other)
    with pytest.raises(QuickstudyError, match="the operation RestoreV2 in its graph reads or writes outside"):
        models.load(f"savedmodel:{tmp_path / 'model'}")
    first_format(
        tf,
        tmp_path / "file",
        tmp_path / "words",
        extra=lambda x: x + tf.cast(tf.strings.length(tf.io.read_file("/x")), tf.float32),
    )
    with pytest.raises(QuickstudyError, match="the operation ReadFile in its graph reads or writes outside"):
        models.load(f"savedmodel:{tmp_path / 'file'}")


@needs_tensorflow
def test_what_is_wrong_is_said(tf, text, image, base, tmp_path):
    shutil.copytree(text, tmp_path / "1")
    half = (tmp_path / "1/saved_model.pb").read_bytes()
    vector = exported(tf, base / "ids", lambda ids: tf.cast(ids, tf.float32), tf.TensorSpec([None, 3], tf.int32))
    odd = exported(tf, base / "odd", lambda x: tf.reduce_mean(x, [1, 2]), tf.TensorSpec([None, 8, 4, 3]))
    wrong = {
        f"savedmodel:{tmp_path}": r"holds no saved_model.pb; .*/1 does: name that",
        f"savedmodel:{base}/nowhere": "there is no folder",
        f"savedmodel:{text}#other": r"has no output 'other'; .* \(found: count \(\), default \(6,\), words \(2, 6\)\)",
        f"savedmodel:{text}#count": "count is one number for each sentence, which is no embedding",
        f"savedmodel:{text}?signature=other": r"no signature 'other' that takes .* \(found: serving_default\(string \[\?\]\)",
        f"savedmodel:{text}?colour=red": "'colour' is not known; after \\? there may be signature, size, range, rate",
        f"savedmodel:{text}?range=1,0": "range rises",
        f"savedmodel:{text}?rate=fast": "size and rate are whole numbers",
        f"savedmodel:{image}": r"takes images of any size; .*\?size=224",
        vector: r"no signature that takes text .* \(found: serving_default\(int32 \[\?, 3\]\)",
        odd: "images of 8 x 4 pixels; only square ones",
    }
    for name, what in wrong.items():
        with pytest.raises(QuickstudyError, match=what):
            models.load(name)
    for name, settings in (("lora", {"lora": 4}), ("dtype", {"dtype": "bfloat16"})):
        with pytest.raises(QuickstudyError, match=f"^{name}: savedmodel:.* leave {name} out"):
            models.load(f"savedmodel:{text}", **settings)
    for length in (0, 100, len(half) // 2, len(half) - 1):
        (tmp_path / "1/saved_model.pb").write_bytes(half[:length])
        with pytest.raises(QuickstudyError, match=r"saved_model.pb is truncated or damaged; copy it again"):
            models.load(f"savedmodel:{tmp_path}/1")
    (tmp_path / "1/saved_model.pb").write_bytes(half)
    shutil.rmtree(tmp_path / "1/variables")
    with pytest.raises(QuickstudyError, match="TensorFlow cannot load it"):
        models.load(f"savedmodel:{tmp_path}/1")
    with pytest.raises(QuickstudyError, match="reads sentences; give a list of strings"):
        models.load(f"savedmodel:{text}").embed(torch.zeros(2, 3))


def test_without_tensorflow_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(QuickstudyError, match=r'needs TensorFlow \(.*\); pip install "quickstudy\[tensorflow\]"'):
        models.load(f"savedmodel:{tmp_path}")
