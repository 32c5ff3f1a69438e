"""Expected values of nissl_tuning_compute, from numpy, scipy and scikit-learn.

Writes tests/fixtures/tuning/{responses,units,curves,population}.csv. Run from the repository's
root; made with numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1. The split is drawn again here from
its definition: Philox4x32-10 (Salmon et al. 2011) and a Fisher-Yates shuffle.
"""

import csv
import pathlib

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score

SEED = 20
N_STIMULI, N_CONDITIONS = 67, 7
OUT = pathlib.Path("tests/fixtures/tuning")
M32 = 0xFFFFFFFF


def philox(seed, stream, index):
    x = [index & M32, index >> 32, stream & M32, stream >> 32]
    k = [seed & M32, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [(p1 >> 32) ^ x[1] ^ k[0], p1 & M32, (p0 >> 32) ^ x[3] ^ k[1], p0 & M32]
        k = [(k[0] + 0x9E3779B9) & M32, (k[1] + 0xBB67AE85) & M32]
    return x


def permutation(seed, stream, n):
    out = [0] * n
    for i in range(n):
        x = philox(seed, stream, i)
        j = (x[1] << 32 | x[0]) * (i + 1) >> 64
        out[i] = out[j]
        out[j] = i
    return out


def choosing_half(condition):
    chooses = np.zeros(len(condition), bool)
    for c in range(N_CONDITIONS):
        members = np.flatnonzero(condition == c)
        drawn = permutation(SEED, 0x74756E65 << 32 | c, len(members))
        chooses[members[drawn[: len(members) // 2]]] = True
    return chooses


def make_responses():
    rng = np.random.default_rng(7)
    # Unbalanced; condition 3 is empty, 5 has one stimulus, 6 two; -1 is left out.
    condition = np.repeat([0, 1, 2, 4, 5, 6, -1], [20, 15, 14, 10, 1, 2, 5])
    rng.shuffle(condition)
    noise = rng.standard_normal((N_STIMULI, 12))
    x = noise.copy()
    x[:, 1] = np.maximum(noise[:, 1], 0)  # rectified noise
    x[:, 2] = 3.7  # constant
    x[:, 3] = 0  # silent
    x[:, 4] = -np.abs(noise[:, 4]) - 1  # never above 0
    x[:, 5] = rng.integers(0, 3, N_STIMULI)  # ties
    x[:, 6] = np.maximum(noise[:, 6] + 2 * (condition == 2), 0)  # tuned
    x[:, 7] = (condition == 4) * 1.5  # all or none: no variance
    x[:, 8] = 1000 + 0.01 * noise[:, 8] + 0.02 * (condition == 1)  # large offset
    x[:, 9] = 1e-4 * (noise[:, 9] + (condition == 0))  # small
    x[condition >= 0, 10] = np.where(rng.random((condition >= 0).sum()) < 0.1, 1, 0)  # sparse
    x[np.flatnonzero(condition == 1)[2], 11] = np.nan
    return x.astype(np.float32), condition.astype(np.int32)


def vinje_gallant(x):
    r = np.maximum(x.astype(np.float64), 0)
    n = len(r)
    if n < 2 or not r.any():
        return np.nan
    return (1 - (r.sum() / n) ** 2 / ((r**2).sum() / n)) / (1 - 1 / n)


def selectivity(means, best):
    rest = np.nanmean(np.delete(means, best))
    return (means[best] - rest) / (means[best] + rest + 1e-7)


def class_means(x, condition):
    return np.array(
        [x[condition == c].mean() if (condition == c).any() else np.nan for c in range(N_CONDITIONS)]
    )


def best_of(means):
    return -1 if np.nanmax(means) == np.nanmin(means) else int(np.nanargmax(means))


def unit_row(x, condition, chooses):
    x, condition, chooses = x[condition >= 0], condition[condition >= 0], chooses[condition >= 0]
    if not np.isfinite(x).all():
        return [np.nan, np.nan, -1, -1] + [np.nan] * 5
    x = x.astype(np.float64)
    rectified = np.maximum(x, 0)
    r = class_means(rectified, condition)
    row = [x.mean(), x.std(ddof=1), best_of(class_means(x, condition))]
    held_in = best_of(class_means(x[chooses], condition[chooses]))
    row += [held_in, selectivity(r, int(np.nanargmax(r)))]
    if held_in < 0:
        return row + [np.nan] * 3 + [vinje_gallant(x)]
    b, is_best = x[~chooses], condition[~chooses] == held_in
    best, rest = b[is_best], b[~is_best]
    row.append(selectivity(class_means(rectified[~chooses], condition[~chooses]), held_in))
    with np.errstate(divide="ignore"):
        pooled = np.sqrt((best.var(ddof=1) + rest.var(ddof=1)) / 2) if len(best) > 1 else np.nan
        row.append((best.mean() - rest.mean()) / pooled)
    auroc = roc_auc_score(is_best, b)
    u = stats.mannwhitneyu(best, rest).statistic / (len(best) * len(rest))
    assert abs(auroc - u) < 1e-12
    return row + [auroc, vinje_gallant(x)]


def write(name, header, rows):
    with open(OUT / name, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def main():
    x, condition = make_responses()
    chooses = choosing_half(condition)
    n_units = x.shape[1]
    write(
        "responses.csv",
        ["condition"] + [f"unit{u}" for u in range(n_units)],
        [[c, *map(str, row)] for c, row in zip(condition, x)],
    )
    write(
        "units.csv",
        "mean,sd,preferred,preferred_heldin,selectivity,selectivity_heldout,dprime,auroc,"
        "lifetime_sparseness".split(","),
        [map(repr, map(float, unit_row(x[:, u], condition, chooses))) for u in range(n_units)],
    )
    curves = []
    for u in range(n_units):
        for c in range(N_CONDITIONS):
            y = x[condition == c, u].astype(np.float64)
            bad = not np.isfinite(x[condition >= 0, u]).all()
            mean = np.nan if bad or len(y) == 0 else y.mean()
            se = np.nan if bad or len(y) < 2 else stats.sem(y, ddof=1)
            curves.append([repr(float(mean)), repr(float(se))])
    write("curves.csv", ["mean", "se"], curves)
    write(
        "population.csv",
        ["sparseness"],
        [[repr(float(vinje_gallant(row[np.isfinite(row)])))] for row in x],
    )


main()
