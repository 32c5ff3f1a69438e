"""Expected values of nissl_anova_compute and of the F distribution.

Sums of squares are differences of residuals of least-squares fits (numpy); where every cell has
samples statsmodels' anova_lm says the same. Writes tests/fixtures/anova/{data,effects,units}.csv
and f_upper.csv. Run from the repository's root; made with numpy 2.4.6, scipy 1.17.1, statsmodels
0.15.0, pandas 3.1.1, mpmath 1.4.1.
"""

import csv
import itertools
import pathlib

import mpmath
import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

OUT = pathlib.Path("tests/fixtures/anova")
LEVELS = [2, 3, 2]
N_UNITS = 5


def make_data():
    rng = np.random.default_rng(3)
    cells = list(itertools.product(*map(range, LEVELS)))
    counts = rng.integers(2, 8, len(cells))
    level = np.repeat(cells, counts, axis=0)
    level = level[rng.permutation(len(level))]
    a, b, c = level.T
    noise = rng.standard_normal((len(level), N_UNITS))
    y = noise.copy()
    y[:, 1] += 1.5 * a  # pure
    y[:, 2] += a + 0.7 * (b == 1)  # linear mixed
    y[:, 3] += 2 * (a ^ c) * (b == 2)  # nonlinear mixed
    y[:, 4] = 1e4 + 0.1 * (noise[:, 4] + b)  # a large offset
    return level, y


def columns(level, effect):
    """Sum-to-zero codes of an effect, a tuple of factors."""
    codes = []
    for k in effect:
        used = np.unique(level[:, k])
        code = (level[:, k, None] == used[None, :-1]).astype(float)
        code[level[:, k] == used[-1]] = -1
        codes.append(code)
    out = np.ones((len(level), 1))
    for code in codes:
        out = (out[:, :, None] * code[:, None, :]).reshape(len(level), -1)
    return out


def residual(level, effects, y):
    x = np.hstack([np.ones((len(y), 1))] + [columns(level, e) for e in effects])
    beta, _, rank, _ = np.linalg.lstsq(x, y, rcond=1e-10)
    return ((y - x @ beta) ** 2).sum(axis=0), rank


def anova(level, y, sums, max_order):
    effects = [
        e for order in range(1, max_order + 1) for e in itertools.combinations(range(3), order)
    ]
    y = y - y.mean(axis=0)  # residuals of large numbers lose digits
    ss_error, rank = residual(level, effects, y)
    ss_total, df_error = (y**2).sum(axis=0), len(y) - rank
    mse = ss_error / df_error
    rows = []
    for e in effects:
        others = [o for o in effects if o != e]
        if sums == 2:
            others = [o for o in others if not set(e) <= set(o)]
        without, rank_without = residual(level, others, y)
        with_it, rank_with = residual(level, others + [e], y)
        df = rank_with - rank_without
        ss = without - with_it
        f = ss / df / mse
        p = stats.f.sf(f, df, df_error)
        omega2 = (ss - df * mse) / (ss_total + mse)
        partial = df * (f - 1) / (df * (f - 1) + len(y))
        rows.append((sum(1 << k for k in e), df, ss, f, p, omega2, partial))
    return rows, ss_total, ss_error, df_error


def check_statsmodels(level, y, sums, max_order, rows):
    frame = pd.DataFrame(level, columns=list("abc"))
    terms = [
        ":".join(f"C({v}, Sum)" for v in e)
        for order in range(1, max_order + 1)
        for e in itertools.combinations("abc", order)
    ]
    for u in range(N_UNITS):
        frame["y"] = y[:, u] - y[:, u].mean()
        table = anova_lm(ols("y ~ " + " + ".join(terms), frame).fit(), typ=sums)
        for term, row in zip(terms, rows):
            np.testing.assert_allclose(table["sum_sq"][term], row[2][u], rtol=1e-8)
            np.testing.assert_allclose(table["PR(>F)"][term], row[4][u], rtol=1e-7)


def write(name, header, rows):
    with open(OUT / name, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows([[repr(float(v)) if isinstance(v, np.floating) else v for v in r] for r in rows])


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    level, y = make_data()
    write("data.csv", list("abc") + [f"unit{u}" for u in range(N_UNITS)],
          [[*map(int, l), *row] for l, row in zip(level, y)])
    # Cases: all cells or without one, type of sums, highest order.
    whole = np.ones(len(level), bool)
    lacking = ~((level[:, 0] == 1) & (level[:, 1] == 2) & (level[:, 2] == 0))
    cases = [(whole, 2, 3), (whole, 3, 3), (whole, 2, 2), (whole, 3, 2), (lacking, 2, 3), (lacking, 3, 2)]
    effects, units = [], []
    for i, (keep, sums, max_order) in enumerate(cases):
        rows, ss_total, ss_error, df_error = anova(level[keep], y[keep], sums, max_order)
        if keep.all():
            check_statsmodels(level, y, sums, max_order, rows)
        for effect, df, *numbers in rows:
            for u in range(N_UNITS):
                effects.append([i, u, effect, int(df), *(n[u] for n in numbers)])
        for u in range(N_UNITS):
            units.append([i, u, y[keep][:, u].mean(), ss_total[u], ss_error[u], int(df_error)])
    write("effects.csv", "case,unit,effect,df,ss,f,p,omega2,partial_omega2".split(","), effects)
    write("units.csv", "case,unit,mean,ss_total,ss_error,df_error".split(","), units)
    mpmath.mp.dps = 40
    rows = []
    for d1, d2, f in itertools.product((1, 2, 5, 40, 300), (1, 3, 54, 1000, 100000), (1e-6, 0.3, 1, 2.5, 19.8, 400)):
        x = mpmath.mpf(d2) / (d2 + d1 * mpmath.mpf(f))
        p = mpmath.betainc(mpmath.mpf(d2) / 2, mpmath.mpf(d1) / 2, 0, x, regularized=True)
        rows.append([f, d1, d2, float(p)])
    write("f_upper.csv", ["f", "d1", "d2", "p"], rows)


main()
