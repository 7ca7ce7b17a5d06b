"""The training loop: it learns, goes on where it stopped, averages, and keeps its schedule."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from training.loop import Loop, LoopConfig, rate

CONFIG = LoopConfig(steps=30, learning_rate=0.05, warm_up=2, accelerator="cpu", log_every=5, picture_every=10)
TRUTH = torch.tensor([[2.0, -1.0]])


def batches(seed=0):
    random = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(16, 2, generator=random)


def loss_of(network, batch, step):
    error = (network(batch) - batch @ TRUTH.T).square().mean()
    return {"total": error, "step": torch.tensor(float(step))}


def loop(folder, config=CONFIG, network=None, **more):
    torch.manual_seed(1)
    return Loop(config, folder, network or nn.Linear(2, 1), loss_of, **more)


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def test_it_learns_and_ends_at_its_steps(tmp_path):
    training = loop(tmp_path, replace(CONFIG, steps=200))
    training.run(batches())
    assert training.step == 200
    torch.testing.assert_close(training.best.weight.detach(), TRUTH, atol=0.05, rtol=0)
    assert training.checkpoint.exists()
    assert not list(tmp_path.glob("*.new"))


class Stop(Exception):
    pass


def stopping(after):
    yield from itertools.islice(batches(), after)
    raise Stop


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path):
    straight = loop(tmp_path / "straight")
    straight.run(batches())
    broken = loop(tmp_path / "broken")
    with pytest.raises(Stop):
        broken.run(stopping(12))
    broken.save()
    again = loop(tmp_path / "broken")
    assert again.step == 12
    assert again.seconds == pytest.approx(broken.seconds)
    torch.testing.assert_close(weights(again.best), weights(broken.best))
    again.run(itertools.islice(batches(), 12, None))
    assert again.step == 30
    torch.testing.assert_close(weights(again.best), weights(straight.best))
    finished = loop(tmp_path / "broken")
    finished.run(batches())
    assert finished.step == 30
    torch.testing.assert_close(weights(finished.best), weights(straight.best))


def test_a_checkpoint_is_written_while_it_runs(tmp_path):
    training = loop(tmp_path, replace(CONFIG, checkpoint_seconds=0.0))
    with pytest.raises(Stop):
        training.run(stopping(7))
    assert loop(tmp_path).step == 7


def test_the_average_is_shipped_and_resumed(tmp_path):
    config = replace(CONFIG, average=0.9)
    training = loop(tmp_path, config)
    seen, plain = [], training._train_on

    def watched(batch):
        losses = plain(batch)
        seen.append(weights(training.network))
        return losses

    training._train_on = watched
    training.run(batches())
    average = seen[0]
    for later in seen[1:]:
        average = 0.9 * average + 0.1 * later
    torch.testing.assert_close(weights(training.best), average, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(average, seen[-1])
    torch.testing.assert_close(weights(loop(tmp_path, config).best), average, atol=1e-5, rtol=1e-4)


def test_the_rate_warms_up_and_falls_to_almost_nothing():
    rates = [rate(step / 100, step, 10) for step in range(101)]
    assert rates[0] == pytest.approx(0.1, abs=0.01)
    assert max(rates) == pytest.approx(1, abs=0.03)
    assert rates[100] == pytest.approx(0.02)
    assert all(earlier >= later for earlier, later in itertools.pairwise(rates[10:]))


def test_minutes_end_a_run_and_lead_the_schedule(tmp_path, monkeypatch):
    """By a clock that gains a hundredth of a second whenever it is looked at."""
    clock = itertools.count()
    monkeypatch.setattr("training.loop.time.monotonic", lambda: next(clock) / 100)
    training = loop(tmp_path, replace(CONFIG, steps=10**9, minutes=0.01))
    training.run(batches())
    assert 0.6 <= training.seconds < 0.7
    assert training.step < 100
    assert training.optimiser.param_groups[0]["lr"] < 0.1 * CONFIG.learning_rate


def test_groups_keep_their_own_rates(tmp_path):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    groups = [{"params": list(part.parameters()), "lr": lr} for part, lr in zip(network, (0.05, 0.0), strict=True)]
    first, second = (weights(part) for part in network)
    loop(tmp_path, network=network, groups=groups).run(batches())
    assert (weights(network[0]) != first).all()
    assert torch.equal(weights(network[1]), second)


def test_scalars_and_pictures_are_logged(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = []

    def pictures(network):
        shown.append(network)
        return torch.rand(3, 4, 4)

    training = loop(tmp_path, pictures=pictures)
    training.run(batches())
    assert len(shown) == 3
    logged = EventAccumulator(str(tmp_path))
    logged.Reload()
    assert [event.step for event in logged.Scalars("total")] == [5, 10, 15, 20, 25, 30]
    assert [event.step for event in logged.Images("samples")] == [10, 20, 30]
