#!/usr/bin/env python3
"""tools/ingest on maps and tables that an input describes, or is: each is refused in words or taken whole.

usage: ingest.py FILE|FOLDER…            read these inputs; the last line says how many
       ingest.py [options of libFuzzer]  with atheris (tests/fuzz/run): look for more
"""

import contextlib
import io
import os
import pathlib
import shutil
import sys
import tempfile
import warnings

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools"))
sys.dont_write_bytecode = True

try:
    import atheris
except ImportError:
    atheris = None

import h5py
import numpy as np

with atheris.instrument_imports(include=["nephrite_tools"]) if atheris else contextlib.nullcontext():
    from nephrite_tools import ingest

try:
    from astropy.io import fits
except ImportError:
    fits = None

NAMES = ingest.WCDM + ["w_a", "A_IA", "m_1", "extra", "", " h ", "Ωc"]
LENGTHS = [2, 3, 1, 4, 0, 7]
TYPES = ["f4", "f8", ">f8", "i2", "u1", "?", "c8", "S3", "U2", "f2", "O", "i8,f4", "M8[s]", "(2,)f4"]
VALUES = [0.3, 0, 1, -1, np.nan, np.inf, 1e300, 1e-320, 2**53]
MAPS = [".npy", ".npz", ".h5", ".fits", ".fits.gz", ".hdf5", ".npy.gz", ".png", ""]
TABLES = [".csv", ".h5", ".npy", ".fits", ".txt", ".hdf5", ".gz"]
OPTIONS = [
    [],
    ["--axes", "yx"],
    ["--axes", "nyx"],
    ["--axes", "xynb"],
    ["--axes", "bb"],
    ["--axes", ""],
    ["--dataset", "kappa"],
    ["--dataset", "../x"],
    ["--dataset", "1"],
    ["--table", "theta"],
    ["--table", "0"],
    ["--keep-order"],
    ["--together"],
    ["--scale", "nan"],
    ["--scale", "1e308"],
    ["--rename", "extra=h"],
    ["--rename", "="],
    ["--seed", "-1"],
    ["--seed", "99999999999999999999999999999999999999999"],
    ["--field-of-view", "0"],
    ["--field-of-view", "nan"],
]


class Bytes:
    """Numbers from an input; 0 from its end on."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def one_of(self, choices):
        return choices[self.number() % len(choices)]

    def rest(self):
        return self.data[self.at :]


def array_of(source, first=None):
    shape = [source.one_of(LENGTHS) for _ in range(source.number() % 6)]
    if first is not None and shape:
        shape[0] = first
    array = np.zeros(shape, np.dtype(source.one_of(TYPES)))
    value = source.one_of(VALUES)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        array[...] = value
    return array


def columns_of(source, rows):
    """The six of wCDM, but for what the input leaves out or adds."""
    columns = {name: np.full(rows, value) for name, value in zip(ingest.WCDM, (0.3, 0.05, 0.8, 0.7, 0.96, -1.0))}
    for _ in range(source.number() % 4):
        name = source.one_of(NAMES)
        if source.number() % 3:
            columns[name] = np.resize(np.array([source.one_of(VALUES), source.one_of(VALUES)], float), rows)
        else:
            columns.pop(name, None)
    return columns


def write_maps(source, path):
    array, kind = array_of(source), "".join(path.suffixes)
    if source.number() % 4 == 3:
        path.write_bytes(source.rest())
    elif kind == ".npz":
        np.savez(path, **{source.one_of(["kappa", "a"]): array, source.one_of(["kappa", "b"]): array_of(source)})
    elif kind in (".h5", ".hdf5"):
        with h5py.File(path, "w") as file:
            file.create_dataset("kappa", data=array)
            file.attrs["field_of_view"] = source.one_of([2.5, 1.0, "wide", [1, 2], np.nan, []])
            if source.number() % 2:
                file["more"] = h5py.SoftLink(source.one_of(["/kappa", "/none", "/more"]))
            if source.number() % 3 == 1:
                file.create_dataset("large", shape=(2, 1 << 40, 3), dtype="f4", chunks=(1, 16, 3))
    elif kind.startswith(".fits") and fits:
        header = {"CDELT1": source.one_of([0.1, -0.1, "x", np.inf]), "CUNIT1": source.one_of(["deg", "arcmin", 3])}
        image = fits.PrimaryHDU(array)
        with contextlib.suppress(ValueError):
            image.header.update({key: value for key, value in header.items() if source.number() % 2})
        image.writeto(path)
    else:
        with open(path, "wb") as file:
            np.save(file, array)


def write_table(source, path):
    columns, kind = columns_of(source, source.one_of([3, 1, 2, 0, 4])), path.suffix
    rows = len(next(iter(columns.values()), []))
    if source.number() % 4 == 3:
        path.write_bytes(source.rest())
    elif kind in (".h5", ".hdf5"):
        with h5py.File(path, "w") as file:
            file["theta"] = np.stack(list(columns.values()), 1) if source.number() % 4 else array_of(source, rows)
            names = ",".join(columns)
            file["theta"].attrs["parameters"] = source.one_of([names, names.encode(), 3, [1, 2], h5py.Empty("f4")])
    elif kind == ".npy":
        np.save(path, np.array(list(zip(*columns.values())), [(name or "none", float) for name in columns]))
    elif kind == ".fits" and fits:
        fits.BinTableHDU.from_columns([fits.Column(n or "none", "D", array=c) for n, c in columns.items()]).writeto(
            path
        )
    else:
        cell = source.one_of(["%r", "%r,", "'%r'", "%r x"])
        lines = [",".join(columns)] + [",".join(cell % float(c[row]) for c in columns.values()) for row in range(rows)]
        path.write_text("\n".join(lines) + source.one_of(["\n", "", "\n#\n", "\n\0", "\n1\n"]), errors="replace")


def write(source, writer, path):
    """What cannot be written (an array of objects) is not: nothing is found about it."""
    try:
        writer(source, path)
    except Exception:
        path.write_bytes(b"")


def check(folder, output, code, said):
    assert code in (0, 64, 65), f"exit code {code}: {said}"
    assert not output.with_name(output.name + ".part").exists(), "a part of the output is left"
    assert output.exists() == (
        code == 0
    ), f"exit code {code}, and the output is {'' if output.exists() else 'not '}there"
    if code:
        assert said.strip() and "Traceback" not in said, "no word of why"
        return
    with h5py.File(output) as file:
        assert len(file["kappa"]) == len(file["theta"]) == len(file["source"]) > 0 and file["kappa"].ndim == 4
        assert np.isfinite(file["theta"]).all() and np.isfinite(file["kappa"]).all() and 0 not in file["kappa"].shape


def read(data):
    source, folder = Bytes(data), pathlib.Path(tempfile.mkdtemp(dir=SCRATCH))
    count, suffix = 1 + source.number() % 3, source.one_of(MAPS)
    maps = [folder / f"map{i}{suffix}" for i in range(count)]
    table, output = folder / f"table{source.one_of(TABLES)}", folder / "out.h5"
    words = ["--parameters", table, "--output", output, "--field-of-view", "2.5"]
    for _ in range(source.number() % 3):
        words += source.one_of(OPTIONS)
    write(source, write_table, table)
    for path in maps:
        write(source, write_maps, path)
    said, code = io.StringIO(), 0
    sys.argv = ["ingest", *map(str, words + maps)]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            ingest.main()
        except SystemExit as stop:
            code = stop.code or 0
    check(folder, output, code, said.getvalue())
    shutil.rmtree(folder)


def replay(paths):
    files = [
        file for path in map(pathlib.Path, paths) for file in (sorted(path.iterdir()) if path.is_dir() else [path])
    ]
    for file in files:
        print(file, file=sys.stderr)
        read(file.read_bytes())
    print(f"{len(files)} inputs")


def main():
    looking = any(word.startswith("-") for word in sys.argv[1:])
    words = list(sys.argv)
    try:
        if looking:
            atheris.Setup(words, read)
            atheris.Fuzz()
        else:
            replay(words[1:])
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    SCRATCH = tempfile.mkdtemp(dir=os.environ.get("NEPHRITE_FUZZ_SEEDS"))
    main()
