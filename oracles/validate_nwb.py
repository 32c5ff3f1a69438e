"""Checks that recordings are NWB files that other programs open, with pynwb 4.2.0, hdmf 6.2.0,
h5py 3.16.0 and, where they are installed, pynapple 0.11.4 and nwbinspector 0.7.2.

usage: python oracles/validate_nwb.py RECORDING...
       python oracles/validate_nwb.py --make PROGRAM    PROGRAM PATH writes the recording

Prints what it finds. Ends with 1 if there is any error, with 77 if pynwb is not installed. What the
inspector says is printed and does not count: it looks for spikes and an animal.
"""
import json
import os
import subprocess
import sys
import tempfile
import warnings

try:
    import h5py
    import numpy as np
    import pynwb
    from pynwb.validation import validate
except ImportError as error:
    print(f"not checked: {error}")
    sys.exit(77)


def check_h5py(path):
    with h5py.File(path) as f:
        sites = f["processing/network/sites"]
        n_units = len(f["units/id"])
        n_stimuli = len(f["intervals/trials/id"])
        assert int(np.sum(sites["n_units"])) == n_units, "units of the sites"
        for series in sites["responses"].asstr():
            if series:
                data = f["processing/ann"][series]["data"]
                assert data.dtype == np.float32 and data.shape[0] == n_stimuli, series
        provenance = json.loads(f["general/notes"].asstr()[()])
        assert provenance["stimuli"]["count"] == n_stimuli, "provenance"


def check_columns(nwb, site, rows, data):
    """What the columns of /units say of a site, against numpy on its responses."""
    data = data.astype(np.float64)

    def column(name):
        return np.stack([np.asarray(nwb.units[name][row]) for row in rows])

    names = nwb.units.colnames
    if "moments_mean" in names:
        assert np.allclose(column("moments_mean"), data.mean(axis=0), rtol=1e-9, atol=1e-12)
        assert np.allclose(column("moments_variance"), data.var(axis=0, ddof=1), rtol=1e-9,
                           atol=1e-12)
        rectified = np.maximum(data, 0)
        assert np.allclose(column("moments_rectified_mean_square"), (rectified**2).mean(axis=0))
    if "histogram_counts" in names:
        assert (column("histogram_counts").sum(axis=1) == len(data)).all()
    if "exemplars_top_stimulus" in names:
        best = column("exemplars_top_stimulus")
        expected = np.argsort(-data, axis=0, kind="stable")[: best.shape[1]].T
        assert (best == expected).all(), f"exemplars of {site}"
    trials = nwb.trials.to_dataframe()
    for factor in nwb.processing["conditions"].data_interfaces if "conditions" in nwb.processing \
            else []:
        level = trials[factor + "_level"].to_numpy()
        name = f"by-condition_{factor}_mean"
        if name in names:
            means = column(name)
            for c in range(means.shape[1]):
                if (level == c).any():
                    assert np.allclose(means[:, c], data[level == c].mean(axis=0), rtol=1e-6,
                                       atol=1e-7), f"{name} of {site}"


def check_pynwb(path):
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        units = nwb.units.to_dataframe()
        for _, site in nwb.processing["network"]["sites"].to_dataframe().iterrows():
            rows = np.flatnonzero(units["site"].to_numpy() == site["site"])
            assert len(rows) == site["n_units"], "units of " + site["site"]
            assert rows[0] == site["first_unit"]
            if site["responses"]:
                data = nwb.processing["ann"][site["responses"]].data[:]
                assert data.shape == (len(nwb.trials), site["n_units"])
                check_columns(nwb, site["site"], rows, data)
        return len(units), len(nwb.trials), nwb.units.colnames


def check_pynapple(path):
    try:
        import pynapple as nap
    except ImportError:
        print("not checked: pynapple is not installed")
        return
    data = nap.load_file(path)
    assert type(data["trials"]).__name__ == "IntervalSet"
    print(f"{path}: pynapple opens {len(list(data.keys()))} objects")


def inspect(path):
    try:
        from nwbinspector import inspect_nwbfile
    except ImportError:
        return
    for message in inspect_nwbfile(nwbfile_path=path):
        print(f"{path}: inspector: {message.importance.name}: {message.check_function_name}")


def check(path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        errors = validate(path=path)
    for error in errors:
        print(f"{path}: error: {error}")
    for warning in caught:
        print(f"{path}: warning: {warning.message}")
    check_h5py(path)
    n_units, n_trials, columns = check_pynwb(path)
    print(f"{path}: {n_units} units, {n_trials} trials, columns {', '.join(columns)}")
    check_pynapple(path)
    inspect(path)
    return len(errors)


def main(arguments):
    if arguments[:1] == ["--make"]:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "made.nwb")
            subprocess.run([arguments[1], path], check=True)
            return 1 if check(path) else 0
    return 1 if sum(check(path) for path in arguments) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
