"""Expected values of nissl_information_compute, from scikit-learn.

Writes tests/fixtures/information/{data,expected}.csv. Run from the repository's root; made with
numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1.
"""

import csv
import pathlib

import numpy as np
from scipy import stats
from sklearn.metrics import mutual_info_score

OUT = pathlib.Path("tests/fixtures/information")
BINS = [2, 5, 8]


def make_data():
    rng = np.random.default_rng(11)
    condition = rng.choice([0, 1, 2, 4, -1], 90, p=[0.4, 0.2, 0.2, 0.1, 0.1])
    x = rng.standard_normal((90, 5))
    x[:, 1] = np.maximum(x[:, 1] + (condition == 1), 0)  # ties at 0
    x[:, 2] = rng.integers(0, 3, 90) + (condition == 4)
    x[:, 3] = condition * 2.0  # everything
    x[:, 4] = 0.1  # nothing
    return condition, x


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    condition, x = make_data()
    with open(OUT / "data.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["condition"] + [f"unit{u}" for u in range(x.shape[1])])
        out.writerows([[int(c), *map(float, row)] for c, row in zip(condition, x)])
    keep = condition >= 0
    c, y = condition[keep], x[keep]
    rows = []
    for n_bins in BINS:
        for u in range(y.shape[1]):
            below = stats.rankdata(y[:, u], method="min") - 1
            bins = (n_bins * below // len(c)).astype(int)
            bits = mutual_info_score(c, bins) / np.log(2)
            table = np.zeros((5, n_bins))
            np.add.at(table, (c, bins), 1)
            k = (table > 0).sum() - table.any(axis=1).sum() - table.any(axis=0).sum() + 1
            rows.append([n_bins, u, float(bits), float(bits - k / (2 * len(c) * np.log(2)))])
    with open(OUT / "expected.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow("n_bins,unit,bits,corrected".split(","))
        out.writerows(rows)


main()
