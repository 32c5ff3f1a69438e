"""Expected values of tests/studies/test_distribution.c. Ran with numpy 2.4.6, scipy 1.17.1."""
import numpy as np
from scipy import stats

x = np.array([3.5, -1.0, 2.0, 2.0, 7.25, 0.5, 11.0])
y = np.array([1.0, 2.0, 2.0, -4.0, 8.0])
print("quantiles .05 .25 .5 .75 .95:", np.quantile(x, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist())
print("exceedance:", stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)))
print("trend:", stats.spearmanr(np.arange(len(x)), x).statistic)
count = [2, 0, 1, 3, 1, 1, 2]
print("trend with counts:", stats.spearmanr(np.repeat(np.arange(len(x)), count), np.repeat(x, count)).statistic)
