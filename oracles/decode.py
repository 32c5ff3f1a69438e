"""Expected values of nissl_decode and nissl_decoder_fit, from scikit-learn.

Writes tests/fixtures/decode/*.csv. Run from the repository's root; made with numpy 2.4.6,
scikit-learn 1.9.1.

data.csv: label, fold, then units. Unit 3 is constant, unit 4 a copy of unit 0.
weights.csv: classes, decoder, penalty, row, then weights and intercept.
predicted.csv: decoder, then for each penalty the held-out predictions of a pipeline that
standardises inside each fold (penalties 1 and 10, shrinkages .1 and .5).
selected.csv: held-out predictions with the 3 best units by F chosen inside each fold.
"""

import csv
import pathlib

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

OUT = pathlib.Path("tests/fixtures/decode")


def decoder(kind, penalty):
    if kind == 0:
        return LogisticRegression(C=1 / penalty, tol=1e-12, max_iter=1000, solver="newton-cholesky")
    if kind == 1:
        return RidgeClassifier(alpha=penalty)
    if kind == 2:
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=penalty)
    return LinearSVC(C=1 / penalty, tol=1e-14, max_iter=10_000_000, dual=False)


def penalties(kind):
    return [0.1, 0.5] if kind == 2 else [1.0, 10.0]


def write(name, header, rows):
    with open(OUT / name, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    n, m = 60, 8
    label = rng.permutation(np.repeat([0, 1, 2], [25, 20, 15]))
    x = rng.standard_normal((n, m)) * [1, 3, 0.5, 0, 1, 1, 2, 1] + 2
    x[:, 0] += 0.8 * (label == 1)
    x[:, 1] -= 1.5 * (label == 2)
    x[:, 4] = x[:, 0]
    fold = np.zeros(n, int)
    for c in range(3):
        members = np.flatnonzero(label == c)
        fold[members] = np.arange(len(members)) % 5
    write(
        "data.csv",
        ["label", "fold"] + [f"unit{u}" for u in range(m)],
        [[int(c), int(f), *map(float, row)] for c, f, row in zip(label, fold, x)],
    )
    weights = []
    for classes in (2, 3):
        keep = label < classes
        for kind in range(4):
            for penalty in penalties(kind):
                fitted = decoder(kind, penalty).fit(x[keep], label[keep])
                for row, (w, b) in enumerate(zip(np.atleast_2d(fitted.coef_), fitted.intercept_)):
                    weights.append([classes, kind, penalty, row, *map(float, w), float(b)])
    write("weights.csv", "classes,decoder,penalty,row,weights".split(","), weights)
    split = PredefinedSplit(fold)
    predicted, selected = [], []
    for kind in range(4):
        for penalty in penalties(kind):
            pipe = make_pipeline(StandardScaler(), decoder(kind, penalty))
            predicted.append([kind, penalty, *map(int, cross_val_predict(pipe, x, label, cv=split))])
            pipe = make_pipeline(SelectKBest(f_classif, k=3), StandardScaler(), decoder(kind, penalty))
            selected.append([kind, penalty, *map(int, cross_val_predict(pipe, x, label, cv=split))])
    write("predicted.csv", "decoder,penalty,predictions".split(","), predicted)
    write("selected.csv", "decoder,penalty,predictions".split(","), selected)


main()
