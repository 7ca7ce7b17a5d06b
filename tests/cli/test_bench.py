import pytest


@pytest.mark.alone
def test_bench_compares_with_dense_networks_and_grids_in_one_run(line):
    figures = line.json("bench")
    times = {f"frame.{name}" for name in ("drag_fps", "full_ms", "camera_ms", "codes_ms", "dense_paper_ms")}
    assert all(figures[name] > 0 for name in times)
    ratio = figures["frame.dense_paper_ms"] / figures["frame.codes_ms"]
    assert figures["frame.ratio_to_dense_paper"] == pytest.approx(ratio)
    assert ratio >= 12
    assert figures["extraction.triplane_128_s"] > 0
    assert 0 < figures["glance.encoder_ms"] < figures["glance.first_picture_ms"]
    seconds = figures["extraction.seconds_256"], figures["extraction.triplane_seconds_256"]
    assert figures["extraction.triplane_vs_imface"] == pytest.approx(seconds[0] / seconds[1])
    assert figures["extraction.triplane_vs_imface"] >= 3
    assert figures["extraction.triplane_vs_dense"] >= 6
