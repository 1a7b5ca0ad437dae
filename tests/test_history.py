"""What a fit was like, epoch by epoch: written as a table, and read again."""

import pytest

from cnnClassifier.errors import DataError
from cnnClassifier.fit_state import FitState, history_table, read_history


def test_the_history_is_a_table_of_metrics_without_timings():
    state = FitState([{"accuracy": 0.5, "loss": 1.25, "val_loss": 1.0}, {"accuracy": 1, "loss": 0.1, "val_loss": 2}])
    assert history_table(state) == (
        "epoch,accuracy,loss,val_loss\n0,0.500000,1.250000,1.000000\n1,1.000000,0.100000,2.000000\n"
    )


def test_a_history_that_was_written_tells_the_best_epoch_and_the_rates_again(tmp_path):
    rows = [
        {"loss": 1.0, "val_loss": loss, "learning_rate": rate} for loss, rate in ((1, 0.01), (0.8, 1e-7), (0.9, 1e-7))
    ]
    (tmp_path / "history.csv").write_text(history_table(FitState(rows)))
    read = read_history(tmp_path / "history.csv")
    assert (read.best_epoch, read.rates) == (1, [0.01, 1e-7, 1e-7])
    with pytest.raises(DataError, match=r"run `python main\.py training` first"):
        read_history(tmp_path / "none.csv")
