from collections.abc import Callable
from pathlib import Path


def test_a_dry_run_shows_the_sweep_and_its_cost_and_writes_nothing(
    cli: Callable, tmp_path: Path
) -> None:
    args = ("tune", "demo", "--root", str(tmp_path / "results"), "--dry-run")
    shown = cli(*args, "--check")
    assert shown.code == 0
    assert "takes 23% of the ladder's 9.7e12 FLOPs, and at most 33%" in shown.err
    assert "the check, three runs of 57.9 k parameters" in shown.err
    assert len(shown.out.splitlines()) == 8
    refused = cli(*args, "--share", "0.01")
    assert refused.code == 2
    assert "do not pay for sweeps of 3 cells" in refused.err
    assert cli(*args, "--spacing", "0.5").code == 2
    assert not (tmp_path / "results").exists()
