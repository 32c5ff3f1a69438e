"""Expected values of the reducers, from numpy 2.4.6, as tests/recording/golden_reducers.h.

usage: python oracles/reducers.py > tests/recording/golden_reducers.h

The responses are heavy-tailed, partly rectified, with ties and one constant unit.
"""
import numpy as np

N, U, LEVELS, K = 48, 6, 4, 5
QUANTILES = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]

rng = np.random.default_rng(20240917)
x = rng.normal(size=(N, U)).astype(np.float32)
x[:, 1] = np.maximum(x[:, 1], 0)
x[:, 2] = 7.25
x[:, 3] = np.round(x[:, 3] * 2) / 2
x[:, 4] = np.exp(6 * x[:, 4]) * np.sign(x[:, 5])
x[:, 5] = x[:, 5] * 1e-3 + 1000
level = rng.integers(-1, LEVELS, size=N).astype(np.int32)
level[level == 2] = 3  # a level without stimuli
only = np.flatnonzero(level == 1)
level[only[1:]] = 0  # a level with one stimulus
d = x.astype(np.float64)


def order(u, sign):
    return sorted(range(N), key=lambda i: (-sign * d[i, u], i))[:K]


def show(kind, name, array, text):
    flat = np.asarray(array).ravel()
    print(f"static const {kind} {name}[{len(flat)}] = {{")
    line = "   "
    for item in flat:
        word = " " + text(item) + ","
        if len(line) + len(word) > 100:
            print(line)
            line = "   "
        line += word
    print(line)
    print("};")


def real(v):
    return "NAN" if np.isnan(v) else float(v).hex()


def single(v):
    return "NAN" if np.isnan(v) else float(np.float32(v)).hex() + "f"


def whole(v):
    return str(int(v))


print("/* Made by oracles/reducers.py with numpy 2.4.6. */")
print(f"enum {{ N_STIMULI = {N}, N_UNITS = {U}, N_LEVELS = {LEVELS}, TOP_K = {K} }};")
show("float", "responses", x, single)
show("int32_t", "levels_of", level, whole)
show("double", "mean", d.mean(axis=0), real)
show("double", "variance", d.var(axis=0, ddof=1), real)
show("double", "minimum", d.min(axis=0), real)
show("double", "maximum", d.max(axis=0), real)
show("double", "rectified_mean", np.maximum(d, 0).mean(axis=0), real)
show("double", "rectified_mean_square", (np.maximum(d, 0) ** 2).mean(axis=0), real)
by_mean = np.full((U, LEVELS), np.nan)
by_variance = np.full((U, LEVELS), np.nan)
for c in range(LEVELS):
    rows = d[level == c]
    if len(rows) > 0:
        by_mean[:, c] = rows.mean(axis=0)
    if len(rows) > 1:
        by_variance[:, c] = rows.var(axis=0, ddof=1)
show("double", "condition_mean", by_mean, real)
show("double", "condition_variance", by_variance, real)
show("int64_t", "top_stimulus", [order(u, 1) for u in range(U)], whole)
show("int64_t", "bottom_stimulus", [order(u, -1) for u in range(U)], whole)
show("double", "quantile",
     [[np.quantile(d[:, u], q, method="inverted_cdf") for q in QUANTILES] for u in range(U)], real)
