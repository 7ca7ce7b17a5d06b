"""The authors' HeadNeRF checkpoints: widths off the shapes, codes to spaces, cameras, and files that are refused."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from faceeditor.errors import UserError
from faceeditor.faces.camera import TARGET, Camera
from faceeditor.faces.layout import EXPRESSION, IDENTITY, LIGHT, SKIN
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.official import ORIGIN, UNIT, import_headnerf, read_codes, read_headnerf
from tests.headnerf_files import checkpoint, code_files, state_of


@pytest.mark.parametrize(("doublings", "side", "width", "features"), [(3, 8, 24, 64), (4, 4, 16, 128), (2, 8, 32, 32)])
def test_widths_are_read_off_the_shapes(tmp_path, doublings, side, width, features):
    state = state_of(doublings=doublings, side=side, width=width, features=features)
    model = read_headnerf(checkpoint(tmp_path / "model.pth", state))
    config = model.config
    assert (config.map, config.size, config.width, config.features) == (side, side << doublings, width, features)
    assert config.placement == "planes"
    assert len(model.state_dict()) == sum(not name.endswith(".f") for name in state)
    assert not any(weight.requires_grad for weight in model.parameters())


def test_the_released_sizes_are_understood(tmp_path):
    """Reso32HR: 64 entries, 2,698,320 parameters with the background."""
    state = state_of(doublings=4, side=32, width=384, features=256)
    assert len(state) == 64
    model = read_headnerf(checkpoint(tmp_path / "model_Reso32HR.pth", state))
    assert (model.config.map, model.config.size, model.config.narrowest) == (32, 512, 32)
    assert sum(weight.numel() for weight in model.parameters()) == 2_698_320


def test_codes_become_spaces(tmp_path):
    folder = code_files(tmp_path / "codes", 12)
    tables = read_codes(folder)
    import_headnerf(checkpoint(tmp_path / "model.pth"), tmp_path / "bundle", folder)
    spaces = read_bundle(tmp_path / "bundle").spaces
    assert {name: space.dims for name, space in spaces.items()} == {IDENTITY: 100, EXPRESSION: 79, SKIN: 100, LIGHT: 27}
    for name, space in spaces.items():
        np.testing.assert_allclose(space.mean, tables[name].mean(0), atol=2e-3)
        np.testing.assert_allclose(space.factor @ space.factor.T, np.cov(tables[name].T), atol=5e-3)
        assert len(space.directions) == 8
        for direction in space.directions:
            assert direction.reader @ direction.vector == pytest.approx(1, abs=5e-3)
        variances = [np.square(direction.vector).sum() for direction in space.directions]
        assert variances == sorted(variances, reverse=True)
    code = torch.load(sorted(folder.iterdir())[0], weights_only=True)["code"]
    np.testing.assert_allclose(tables[LIGHT][0], code["appea_code"][0, 100:])
    drawn = spaces[IDENTITY].random(np.random.default_rng(0))
    assert 0.2 < np.linalg.norm(drawn - spaces[IDENTITY].mean) / np.sqrt(np.cov(tables[IDENTITY].T).trace()) < 3


@pytest.mark.parametrize("count", [0, 1])
def test_without_enough_codes_a_normal_distribution_stands_in(tmp_path, count):
    folder = code_files(tmp_path / "codes", 1) if count else None
    model = import_headnerf(checkpoint(tmp_path / "model.pth"), tmp_path / "bundle", folder)
    for space in model.spaces.values():
        assert np.array_equal(space.factor, np.eye(space.dims))
        assert space.directions == ()
        assert bool(np.any(space.mean)) == bool(count)


def test_our_camera_looks_as_theirs_does(tmp_path):
    """Their base pose: 12 units before the origin, x to the right, y down, a focal length of 128.356 for 32 pixels."""
    model = read_headnerf(checkpoint(tmp_path / "model.pth"))
    field = math.degrees(2 * math.atan(16 / 128.356))
    camera = Camera(distance=12 * UNIT + ORIGIN[2], field_of_view=field, pan=(0.0, ORIGIN[1] - TARGET[1]))
    rays = model.rays(camera, 32)
    np.testing.assert_allclose(rays.origins[0], [0, 0, 12], atol=1e-4)
    directions = rays.directions[0].numpy() * UNIT
    column, row = np.meshgrid(np.arange(32), np.arange(32))
    theirs = np.stack([(column - 16.1136) / 128.356, -(row - 16.4713) / 128.356, -np.ones((32, 32))], axis=-1)
    # Their pixels have no middle, and their principal point lies a little off.
    assert np.abs(directions - theirs).max() < 1.0 / 128.356
    left = model.rays(camera.replace(yaw=30.0), 32)
    assert left.origins[0, 0] > 5.9
    assert left.directions[0, 16, 16, 0] < 0


def test_a_bundle_of_theirs_draws_what_they_draw(user_home, tmp_path):
    home = user_home / "data" / "models"
    told = import_headnerf(checkpoint(tmp_path / "model.pth"), home / "headnerf-tiny")
    model = load_model("headnerf-tiny")
    assert "non-commercial" in (home / "headnerf-tiny" / "README.md").read_text()
    codes = {name: torch.randn(1, space.dims) for name, space in model.spaces.items()}
    rays = model.rays(Camera(distance=1.2, field_of_view=14.2), model.config.map)
    mine, its = (head.opaque(head.feature_map(codes, rays)) for head in (model, told))
    torch.testing.assert_close(mine, its, rtol=0, atol=5e-3)


# What is refused


class Wicked:
    """Runs code when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return exec, (f"open({str(self.trace)!r}, 'w').close()",)


def refusal(path, out):
    with pytest.raises(UserError) as refused:
        import_headnerf(path, out)
    assert not out.exists()
    text = str(refused.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text


def test_files_that_would_run_code_are_refused_and_do_not_run(tmp_path):
    trace = tmp_path / "trace"
    for number, protocol in enumerate((2, 4)):
        plain = tmp_path / f"plain{number}.pth"
        plain.write_bytes(pickle.dumps({"net": Wicked(trace)}, protocol=protocol))
        assert "holds more than numbers" in refusal(plain, tmp_path / "out")
    torch.save({"para": Wicked(trace), "net": state_of()}, tmp_path / "zipped.pth")
    assert "holds more than numbers" in refusal(tmp_path / "zipped.pth", tmp_path / "out")
    assert not trace.exists()
    # They would have: the test is no test of harmless files.
    pickle.loads(plain.read_bytes())  # noqa: S301
    assert trace.exists()


def test_damaged_and_other_files_are_refused(tmp_path):
    whole = checkpoint(tmp_path / "model.pth").read_bytes()
    for share in (0.1, 0.5, 0.99):
        (tmp_path / "cut.pth").write_bytes(whole[: int(len(whole) * share)])
        refusal(tmp_path / "cut.pth", tmp_path / "out")
    (tmp_path / "text.pth").write_text("hello")
    torch.save({"weights": state_of()}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"net": {}}, tmp_path / "empty.pth")
    for name in ("text", "other", "list", "empty"):
        refusal(tmp_path / f"{name}.pth", tmp_path / "out")
    for missing in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(UserError, match="choose|check"):
            import_headnerf(missing, tmp_path / "out")


@pytest.mark.parametrize("name", state_of())
def test_every_tensor_is_needed_and_must_fit(tmp_path, name):
    state = state_of()
    if name.endswith(".f"):
        del state[name]
        read_headnerf(checkpoint(tmp_path / "less.pth", state))
        return
    odd = {**state, name: torch.zeros(3, 5, 7)}
    refusal(checkpoint(tmp_path / "odd.pth", odd), tmp_path / "out")
    del state[name]
    refusal(checkpoint(tmp_path / "less.pth", state), tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"extra": torch.zeros(2)}, "extra"),
        ({"neural_render.bg_featmap": torch.full((1, 32, 4, 4), math.nan)}, "finite"),
        ({"fg_CD_predictor.RGB_layer_1.weight": torch.zeros(8, 16 + 90, 1, 1)}, "appearance code has 90"),
        ({"fg_CD_predictor.FeaExt_module_0.weight": torch.zeros(16, 63 + 50, 1, 1)}, "shape code has 50"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, changed, told):
    path = checkpoint(tmp_path / "model.pth", {**state_of(), **changed})
    assert told in refusal(path, tmp_path / "out")


def test_folders_of_something_else_are_refused(tmp_path):
    folder = code_files(tmp_path / "codes", 2)
    (tmp_path / "empty").mkdir()
    torch.save({"code": {"shape_code": torch.zeros(1, 80), "appea_code": torch.zeros(1, 127)}}, folder / "odd.pth")
    for codes, told in (
        (folder, "shape_code"),
        (tmp_path / "empty", "no latent codes"),
        (tmp_path / "no", "no latent"),
    ):
        with pytest.raises(UserError, match=told):
            import_headnerf(checkpoint(tmp_path / "model.pth"), tmp_path / "out", codes)
        assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="not a model bundle"):
        import_headnerf(tmp_path / "model.pth", folder)
    assert len(list(folder.iterdir())) == 3
