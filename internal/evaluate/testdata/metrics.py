# SPDX-License-Identifier: Apache-2.0
"""Writes 20 generated problems with scikit-learn's answers as JSON to standard output: the golden file metrics.json.

Binary problems also carry the two calibration numbers (scipy's root finder on the score equations) and DeLong's variance
(all pairs, straight from the definition), which scikit-learn does not have.
"""
import json
import sys
import warnings

import numpy as np
from scipy.optimize import root
from scipy.special import expit, logit
from sklearn import metrics as m
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

warnings.simplefilter("ignore")


def defined(value):
    value = float(value)
    return value if np.isfinite(value) else None


def calibration(y, p, w):
    if len(set(y)) < 2:
        return None, None
    x = logit(np.clip(p, 1e-6, 1 - 1e-6))
    one = root(lambda a: [np.sum(w * (y - expit(a[0] + x)))], [0.0], tol=1e-14)
    intercept = one.x[0]
    pos, neg = x[(y == 1) & (w > 0)], x[(y == 0) & (w > 0)]
    if pos.min() >= neg.max() or neg.min() >= pos.max():
        return None, intercept

    def score(v):
        r = w * (y - expit(v[0] + v[1] * x))
        return [r.sum(), (r * x).sum()]

    def slope_of(v):
        mu = expit(v[0] + v[1] * x)
        h = w * mu * (1 - mu)
        return -np.array([[h.sum(), (h * x).sum()], [(h * x).sum(), (h * x * x).sum()]])

    fit = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(x[:, None], y, sample_weight=w)
    both = root(score, [fit.intercept_[0], fit.coef_[0, 0]], jac=slope_of, tol=1e-14)
    assert np.abs(score(both.x)).max() < 1e-8, both
    return both.x[1], intercept


def delong(y, p):
    pos, neg = p[y == 1], p[y == 0]
    if not len(pos) or not len(neg):
        return None
    psi = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
    v10, v01 = psi.mean(1), psi.mean(0)
    part = lambda v: v.var(ddof=1) / len(v) if len(v) > 1 else 0.0
    return part(v10) + part(v01)


def binary(y, p, w, threshold):
    hard = (p >= threshold).astype(int)
    both = len(set(y)) == 2
    tn, fp, fn, tp = m.confusion_matrix(y, hard, labels=[0, 1], sample_weight=w).ravel()
    slope, intercept = calibration(y, p, w)
    return {
        "roc_auc": m.roc_auc_score(y, p, sample_weight=w) if both else None,
        "pr_auc": m.average_precision_score(y, p, sample_weight=w) if both else None,
        "brier": m.brier_score_loss(y, p, sample_weight=w, labels=[0, 1], pos_label=1),
        "log_loss": m.log_loss(y, p, sample_weight=w, labels=[0, 1]),
        "accuracy": m.accuracy_score(y, hard, sample_weight=w),
        "balanced_accuracy": m.balanced_accuracy_score(y, hard, sample_weight=w),
        "sensitivity": tp / (tp + fn) if tp + fn else None,
        "specificity": tn / (tn + fp) if tn + fp else None,
        "f1": m.f1_score(y, hard, sample_weight=w, labels=[0, 1], pos_label=1, zero_division=np.nan),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }


def multiclass(y, p, w, k):
    labels = list(range(k))
    every = len(set(y)) == k
    hard = p.argmax(1)
    return {
        "roc_auc": m.roc_auc_score(y, p, multi_class="ovr", average="macro", labels=labels, sample_weight=w) if every else None,
        "log_loss": m.log_loss(y, p, labels=labels, sample_weight=w),
        "accuracy": m.accuracy_score(y, hard, sample_weight=w),
        "balanced_accuracy": m.balanced_accuracy_score(y, hard, sample_weight=w),
    }


def regression(y, v, w):
    return {
        "rmse": m.root_mean_squared_error(y, v, sample_weight=w),
        "mae": m.mean_absolute_error(y, v, sample_weight=w),
        "r2": m.r2_score(y, v, sample_weight=w) if len(set(y)) > 1 else None,
    }


def problems(rng):
    # name, rows, weights, digits kept (ties), base rate
    for name, n, weighted, digits, rate in [
        ("plain", 200, False, 15, 0.4), ("ties", 300, False, 1, 0.5), ("weights", 150, True, 15, 0.3),
        ("weights and ties", 250, True, 1, 0.6), ("rare", 400, False, 15, 0.02), ("no positive", 40, False, 15, 0.0),
        ("no negative", 40, True, 15, 1.0), ("two rows", 2, False, 15, None), ("three rows", 3, True, 15, None),
        ("separated", 30, False, 15, "separated"), ("constant", 50, False, 0, "constant"), ("extreme", 120, False, 0, 0.5),
        ("threshold", 200, False, 2, 0.4),
    ]:
        if rate is None:
            y = np.arange(n) % 2
            p = rng.uniform(size=n)
        elif rate == "separated":
            y = np.arange(n) % 2
            p = 0.1 + 0.5 * y + 0.3 * rng.uniform(size=n)
        elif rate == "constant":
            y = (rng.uniform(size=n) < 0.3).astype(int)
            p = np.full(n, 0.25)
        else:
            y = (rng.uniform(size=n) < rate).astype(int)
            p = np.round(expit(rng.normal(size=n) + 1.5 * (y - 0.5)), digits)
        w = np.round(rng.exponential(size=n), 3) if weighted else np.ones(n)
        threshold = 0.3 if name == "threshold" else 0.5
        one = {"task": "binary", "y": y.tolist(), "p": p.tolist(), "threshold": threshold, "want": binary(y, p, w, threshold)}
        if weighted:
            one["w"] = w.tolist()
        else:
            one["delong"] = delong(y, p)
        yield name, one
    for name, n, k, weighted, digits in [
        ("three classes", 150, 3, False, 15), ("five classes, weights", 200, 5, True, 15), ("classes with ties", 120, 3, False, 1),
        ("a class missing", 30, 4, False, 15),
    ]:
        y = rng.integers(0, k - (name == "a class missing"), size=n)
        raw = np.round(rng.uniform(size=(n, k)) + 0.5 * np.eye(k)[y], digits) + 0.01
        p = raw / raw.sum(1, keepdims=True)
        w = np.round(rng.exponential(size=n), 3) if weighted else np.ones(n)
        one = {"task": "multiclass", "classes": k, "y": y.tolist(), "p": p.tolist(), "want": multiclass(y, p, w, k)}
        if weighted:
            one["w"] = w.tolist()
        yield name, one
    for name, n, weighted in [("regression", 100, False), ("regression, weights", 60, True), ("one value", 5, False)]:
        y = rng.normal(size=n) if name != "one value" else np.full(n, 2.0)
        v = y + 0.5 * rng.normal(size=n)
        w = np.round(rng.exponential(size=n), 3) if weighted else np.ones(n)
        one = {"task": "regression", "y": y.tolist(), "p": v.tolist(), "want": regression(y, v, w)}
        if weighted:
            one["w"] = w.tolist()
        yield name, one


def groups(rng):
    for n, g, k in [(50, 10, 5), (195, 32, 5), (100, 7, 3), (40, 40, 4)]:
        names = np.array([f"s{i:02d}" for i in rng.integers(0, g, size=n)])
        fold = np.zeros(n, dtype=int)
        for f, (_, test) in enumerate(GroupKFold(k).split(np.zeros(n), groups=names)):
            fold[test] = f
        yield {"groups": names.tolist(), "k": k, "fold": fold.tolist()}


def main():
    rng = np.random.default_rng(7)
    out = {"problems": {}, "groups": []}
    for name, one in problems(rng):
        one["want"] = {k: None if v is None else defined(v) for k, v in one["want"].items()}
        out["problems"][name] = one
    out["groups"] = list(groups(rng))
    json.dump(out, sys.stdout, separators=(",", ":"))
    print()


main()
