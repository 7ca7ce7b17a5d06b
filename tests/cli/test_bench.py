import pytest


@pytest.mark.alone
def test_bench_compares_a_frame_with_a_dense_network_in_one_run(line):
    figures = line.json("bench")
    times = {f"frame.{name}" for name in ("drag_fps", "full_ms", "camera_ms", "codes_ms", "dense_paper_ms")}
    assert all(figures[name] > 0 for name in times)
    ratio = figures["frame.dense_paper_ms"] / figures["frame.codes_ms"]
    assert figures["frame.ratio_to_dense_paper"] == pytest.approx(ratio)
    assert ratio >= 12
