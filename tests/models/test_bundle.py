"""Bundles: what is written is read back, what is damaged gives one sentence, and the others still load."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from faceeditor.errors import UserError
from faceeditor.faces.latents import Space
from faceeditor.models import bundle as bundles
from faceeditor.models.bundle import MANIFEST, WEIGHTS, find_bundles, load_model, read_bundle, write_bundle
from faceeditor.models.catalogue import catalogue
from faceeditor.resources import resource_path
from tests.tiny import SPACES, TinyHead

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(user_home, monkeypatch):
    """The user's folder of bundles, where the tiny architecture is known."""
    monkeypatch.setitem(bundles.ARCHITECTURES, "tiny", "tests.tiny:TinyHead")
    return user_home / "data" / "models"


def write(folder, **changes):
    facts = {
        "architecture": "tiny",
        "configuration": {"sizes": [1, 2], "deep": {"name": "a"}},
        "training": {"steps": 3},
        "tensors": tensors(),
        "spaces": SPACES,
    }
    write_bundle(folder, **{**facts, **changes})
    return folder


def tensors():
    random = torch.Generator().manual_seed(0)
    return {
        "net.weight": torch.randn(40, 5, 3, generator=random),
        "net.bias": torch.randn(7, generator=random),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "faces": torch.arange(60, dtype=torch.int32).reshape(20, 3),
        "turned": torch.randn(6, 4, generator=random).T,
    }


def test_what_is_written_is_read_back(home):
    read = read_bundle(write(home / "one"))
    assert (read.name, read.architecture) == ("one", "tiny")
    assert read.configuration == {"sizes": [1, 2], "deep": {"name": "a"}}
    assert read.training == {"steps": 3}
    same_tensors(read.tensors)
    assert list(read.spaces) == list(SPACES)
    for name, space in SPACES.items():
        same_space(read.spaces[name], space)


def same_tensors(read):
    assert read.keys() == tensors().keys()
    for name, tensor in tensors().items():
        exact = tensor.half() if tensor.is_floating_point() else tensor
        assert read[name].shape == tensor.shape
        assert torch.equal(read[name], exact), name


def same_space(read: Space, space: Space):
    for name, value in vars(space).items():
        found = getattr(read, name)
        if name == "directions":
            assert [(d.key, d.low, d.high, d.group, d.label) for d in found] == [
                (d.key, d.low, d.high, d.group, d.label) for d in value
            ]
            assert all(
                np.array_equal(d.vector, e.vector) and np.array_equal(d.reader, e.reader)
                for d, e in zip(found, value, strict=True)
            )
        elif isinstance(value, np.ndarray):
            np.testing.assert_allclose(found, value, atol=1e-3)
        else:
            assert found == value, name


@pytest.mark.parametrize("limit", [100, 400, 1000])
def test_large_tensors_are_spread_over_files(home, monkeypatch, limit):
    monkeypatch.setattr(bundles, "LARGEST_FILE", limit)
    folder = write(home / "one")
    files = list(folder.glob(WEIGHTS))
    assert len(files) > 2
    same_tensors(read_bundle(folder).tensors)
    from safetensors import safe_open

    for file in files:
        with safe_open(file, "pt") as stored:
            assert sum(stored.get_tensor(key).nbytes for key in stored.keys()) <= limit  # noqa: SIM118


def test_a_row_that_no_file_holds_is_kept_whole(home, monkeypatch):
    monkeypatch.setattr(bundles, "LARGEST_FILE", 16)
    same_tensors(read_bundle(write(home / "one")).tensors)


def test_writing_again_leaves_nothing_behind(home, monkeypatch):
    monkeypatch.setattr(bundles, "LARGEST_FILE", 200)
    folder = write(home / "one")
    (folder / "README.md").write_text("card")
    before = read_bundle(folder).content_hash
    monkeypatch.setattr(bundles, "LARGEST_FILE", 1 << 20)
    write(folder, tensors={"other": torch.ones(3)})
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", MANIFEST, "weights.safetensors"]
    assert [entry.name for entry in home.iterdir()] == ["one"]
    assert read_bundle(folder).content_hash != before


@pytest.mark.parametrize("failing", ["save_file", "_hash"])
def test_a_failure_while_writing_keeps_the_old_bundle(home, monkeypatch, failing):
    folder = write(home / "one")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(bundles, failing, full)
        with pytest.raises(UserError, match="disk is full"):
            write(folder, tensors={"other": torch.ones(3)})
    same_tensors(read_bundle(folder).tensors)
    assert [entry.name for entry in home.iterdir()] == ["one"]


def test_a_failure_of_the_first_writing_leaves_nothing(home, monkeypatch):
    monkeypatch.setattr(bundles, "save_file", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(home / "one")
    assert list(home.iterdir()) == []


def rewrite(folder, **changes):
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **changes}))


def truncate(folder):
    """Half a weight file, with a hash that fits it."""
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    rewrite(folder, hash=bundles._hash(folder))


def no_weights_at_all(folder):
    """Text, with a hash that fits it."""
    (folder / "weights.safetensors").write_text("hello")
    rewrite(folder, hash=bundles._hash(folder))


def forget(folder, key):
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest[key]
    (folder / MANIFEST).write_text(json.dumps(manifest))


def flip_a_bit(folder):
    file = folder / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


DAMAGES = {
    "changed weights": (flip_a_bit, "do not match its hash"),
    "wrong hash": (lambda folder: rewrite(folder, hash="0" * 64), "do not match its hash"),
    "no hash": (lambda folder: forget(folder, "hash"), "do not match its hash"),
    "no weights": (lambda folder: (folder / "weights.safetensors").unlink(), "do not match its hash"),
    "truncated weights": (truncate, "damaged"),
    "text as weights": (no_weights_at_all, "damaged"),
    "unknown kind": (lambda folder: rewrite(folder, architecture="crystal"), "unknown kind, 'crystal'"),
    "odd kind": (lambda folder: rewrite(folder, architecture=["tiny"]), "unknown kind"),
    "unknown format": (lambda folder: rewrite(folder, format=99), "does not know"),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "readable bundle.json"),
    "no json": (lambda folder: (folder / MANIFEST).write_text("{"), "readable bundle.json"),
    "no text": (lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe\x80"), "readable bundle.json"),
    "a list": (lambda folder: (folder / MANIFEST).write_text("[]"), "does not know"),
    "no spaces": (lambda folder: forget(folder, "spaces"), "damaged"),
    "odd training": (lambda folder: rewrite(folder, training=[]), "damaged"),
    "odd spaces": (lambda folder: rewrite(folder, spaces="none"), "damaged"),
    "a space without arrays": (
        lambda folder: rewrite(folder, spaces=[{"name": "ghost", "directions": [], "choices": []}]),
        "damaged",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_gives_one_sentence_and_the_others_load(home, damage):
    spoil, words = DAMAGES[damage]
    broken, whole = write(home / "broken"), write(home / "whole")
    spoil(broken)
    with pytest.raises(UserError, match=words) as caught:
        read_bundle(broken)
    sentence = str(caught.value)
    assert "broken" in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert isinstance(load_model("whole"), TinyHead)
    assert "whole" in {entry.name for entry in catalogue() if not entry.error}
    same_tensors(read_bundle(whole).tensors)


def test_a_model_nobody_has_is_named_beside_those_at_hand(home):
    write(home / "mine")
    with pytest.raises(UserError, match="no model named yours.*mine"):
        load_model("yours")


def test_the_users_own_bundle_wins_over_a_shipped_one(home):
    assert find_bundles()["template-studio"] == resource_path("models", "template-studio")
    write(home / "template-studio")
    assert isinstance(load_model("template-studio"), TinyHead)


def test_a_bundle_half_written_is_not_found(home):
    write(home / ".one-1234")
    assert not [name for name in find_bundles() if "one" in name]


@pytest.mark.parametrize("name", ["template-studio", "guided-studio", "portrait-studio"])
def test_a_whole_bundle_that_does_not_fit_its_architecture_says_so(home, name):
    """The hash is right, but a weight is missing, as in a bundle of another version."""
    shipped = read_bundle(find_bundles()[name])
    largest = max(shipped.tensors, key=lambda key: shipped.tensors[key].nbytes)
    kept = {key: tensor for key, tensor in shipped.tensors.items() if key != largest}
    write(home / "other", architecture=shipped.architecture, configuration=shipped.configuration, tensors=kept)
    with pytest.raises(UserError, match="other does not fit this version"):
        load_model("other")
    write(home / "another", architecture=shipped.architecture, configuration={"odd": 1})
    with pytest.raises(UserError, match="another does not fit this version"):
        load_model("another")


def test_every_shipped_bundle_is_whole_and_small_enough_for_a_repository():
    for folder in sorted(manifest.parent for manifest in resource_path("models").glob(f"[!.]*/{MANIFEST}")):
        read_bundle(folder)
        for file in folder.iterdir():
            assert file.stat().st_size < 20 << 20, file.name
            assert file.suffix in (".safetensors", ".json", ".md", ".png", ".jpg"), file.name


def test_no_pickle_anywhere():
    """No module that unpickles is imported, and ``torch.load`` is only called with ``weights_only=True``."""
    loads = []
    for file in [*(ROOT / "faceeditor").rglob("*.py"), *(ROOT / "training").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}, file
            elif isinstance(node, ast.Call):
                keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert keywords.get("allow_pickle") != "True", file
                if ast.unparse(node.func) == "torch.load" or ast.unparse(node.func).endswith("fabric.load"):
                    loads.append((file.name, keywords.get("weights_only")))
    assert loads
    assert all(safe == "True" for _, safe in loads), loads
