"""Checks that recordings are NWB files that other programs open, with pynwb 4.2.0, hdmf 6.2.0,
h5py 3.16.0, nwbinspector 0.7.2 and, where it is installed, pynapple 0.11.4.

usage: python oracles/validate_nwb.py RECORDING...

Prints one line per finding and ends with 1 if there is any error.
"""
import json
import sys
import warnings

import h5py
import numpy as np
import pynwb
from pynwb.validation import validate


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


def check_pynwb(path):
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        units = nwb.units.to_dataframe()
        trials = nwb.trials.to_dataframe()
        sites = nwb.processing["network"]["sites"].to_dataframe()
        first = sites.iloc[0]
        rows = units[units["site"] == first["site"]]
        assert len(rows) == first["n_units"], "units of the first site"
        if first["responses"]:
            data = nwb.processing["ann"][first["responses"]].data[:]
            assert data.shape == (len(trials), first["n_units"])
            if "moments_mean" in units:
                mean = np.array([float(v) for v in rows["moments_mean"]])
                assert np.allclose(mean, data.astype(np.float64).mean(axis=0), rtol=1e-6, atol=1e-9)
        return len(units), len(trials), list(units.columns)


def check_pynapple(path):
    try:
        import pynapple as nap
    except ImportError:
        print(f"{path}: pynapple is not installed, not checked")
        return
    data = nap.load_file(path)
    print(f"{path}: pynapple lists {list(data.keys())[:4]} ...")
    for key in list(data.keys()):
        if key == "trials":
            print(f"{path}: pynapple trials {type(data[key]).__name__} {len(data[key])}")
            break


def main(paths):
    n_errors = 0
    for path in paths:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            errors = validate(path=path)
        for error in errors:
            print(f"{path}: error: {error}")
        for warning in caught:
            print(f"{path}: warning: {warning.message}")
        n_errors += len(errors)
        check_h5py(path)
        n_units, n_trials, columns = check_pynwb(path)
        print(f"{path}: {n_units} units, {n_trials} trials, columns {', '.join(columns)}")
        check_pynapple(path)
        try:
            from nwbinspector import inspect_nwbfile
            for message in inspect_nwbfile(nwbfile_path=path):
                print(f"{path}: {message.importance.name}: {message.check_function_name} "
                      f"{message.location}: {message.message}")
        except ImportError:
            pass
    return 1 if n_errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
