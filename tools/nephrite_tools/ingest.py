"""tools/ingest: maps made elsewhere and their parameters, into one HDF5 file from which nephrite-simulate makes shards.

Files are taken in natural order (map2 before map10), each holding one map or several. The table has a row for every map,
in the same order. What is written can be named by `simulate: {maps: FILE}` in a campaign file; nephrite-simulate then
makes the campaign's shards and index from it, checked and digested like those of its own simulations.
"""

import argparse
import contextlib
import csv
import math
import os
import pathlib
import re
import sys

import h5py
import numpy as np

WCDM = ["Omega_c", "Omega_b", "sigma_8", "h", "n_s", "w_0"]
OPTIONAL = ["w_a", "A_IA", "eta_IA", *(f"{name}_{bin}" for name in ("delta_z", "m") for bin in range(1, 17))]
AXES = {2: "yx", 3: "byx", 4: "nbyx"}
LARGEST_MAP = 1 << 30  # values; HDF5 has no chunk of 4 GiB


class Refused(Exception):
    """An input that cannot be used: what, where, and what would be right."""


@contextlib.contextmanager
def reading(path):
    """What a library cannot read is the file's fault, whatever the library calls it; the system's own errors are not."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise Refused(f"{path}: cannot be read: {' '.join(str(error).split()) or type(error).__name__}") from None


def natural(path):
    return [int(word) if word.isdecimal() else word for word in re.split(r"(\d+)", str(path))]


def fits():
    try:
        from astropy.io import fits as module
    except ImportError:
        raise Refused("reading FITS needs astropy (Debian: python3-astropy; or pip install astropy)") from None
    return module


def only(names, kind, path, option):
    names = list(names)
    if len(names) != 1:
        raise Refused(f"{path}: has the {kind} {', '.join(names) or 'none'}; choose one with {option}")
    return names[0]


# ---- maps ----


def stated_side(file, dataset):
    """The side of a map along x in degrees, where an HDF5 file or a FITS header tells; else None."""
    if isinstance(file, h5py.File):
        holders = (file[dataset], file)
        return next((float(np.ravel(h.attrs["field_of_view"])[0]) for h in holders if "field_of_view" in h.attrs), None)
    header = file[dataset].header
    step = header.get("CDELT1", header.get("CD1_1"))
    if step is None or str(header.get("CUNIT1", "deg")).strip() != "deg":
        return None
    return abs(float(step)) * int(header["NAXIS1"])


def check_side(path, file, dataset, wanted):
    side = stated_side(file, dataset)
    if side is not None and abs(side / wanted - 1) > 1e-3:
        raise Refused(f"{path}: says that its maps are {side:.6g} degrees wide; --field-of-view says {wanted:.6g}")


@contextlib.contextmanager
def opened(path, dataset, side):
    """Something with shape and slices: data stay on disk until asked for, where the format allows it."""
    suffix = path.suffixes[-2:] if path.suffix == ".gz" else [path.suffix]
    if suffix[0] in (".fits", ".fit", ".fz"):
        with fits().open(path, memmap=False) as file:
            images = [i for i, unit in enumerate(file) if unit.is_image and unit.data is not None]
            unit = dataset if dataset else int(only(map(str, images), "image extensions", path, "--dataset"))
            check_side(path, file, unit, side)
            yield file[unit].data
    elif suffix[0] in (".h5", ".hdf5"):
        with h5py.File(path) as file:
            names = []
            file.visititems(lambda name, o: names.append(name) if isinstance(o, h5py.Dataset) and o.ndim > 1 else None)
            name = dataset or only(names, "datasets", path, "--dataset")
            if not isinstance(file.get(name), h5py.Dataset):
                raise Refused(f"{path}: has no dataset {name}; there are {', '.join(names)}")
            check_side(path, file, name, side)
            yield file[name]
    elif suffix[0] == ".npy":
        yield np.load(path, mmap_mode="r")
    elif suffix[0] == ".npz":
        with np.load(path) as file:
            yield file[dataset or only(file.files, "arrays", path, "--dataset")]
    else:
        raise Refused(f"{path}: its name must end in .fits, .h5, .hdf5, .npy or .npz")


def in_order(array, axes, path):
    """[map][bin][y][x], from an array whose axes are named by letters of n, b, y, x."""
    axes = axes or AXES.get(array.ndim, "")
    if len(axes) != array.ndim or set(axes) - set("nbyx") or not {"y", "x"} <= set(axes) or len(set(axes)) < len(axes):
        raise Refused(
            f"{path}: has {array.ndim} axes; --axes names each by n (map), b (bin), y or x, not {axes or 'so'}"
        )
    array = np.asarray(array)
    for letter in "nb":
        if letter not in axes:
            array, axes = array[np.newaxis], letter + axes
    return array.transpose([axes.index(letter) for letter in "nbyx"])


def maps_of(path, options):
    """The maps of a file, one at a time, [bin][y][x] float32."""
    with reading(path), opened(path, options.dataset, options.field_of_view) as data:
        axes = options.axes or AXES.get(data.ndim, "")
        stacked = axes.startswith("n") and len(axes) == data.ndim
        if data.dtype.kind not in "fiub":
            raise Refused(f"{path}: its maps are of the type {data.dtype}; they must be real numbers")
        if not 0 < math.prod(data.shape[1:] if stacked else data.shape) <= LARGEST_MAP:
            raise Refused(f"{path}: a map has the shape {data.shape}; it must have 1 to {LARGEST_MAP} values")
        for first in range(data.shape[0] if stacked else 1):
            piece = in_order(data[first : first + 1] if stacked else data, axes, path)
            for number, kappa in enumerate(piece):
                with np.errstate(over="ignore"):
                    kappa = (np.asarray(kappa, np.float64) * options.scale).astype(np.float32)
                if not np.isfinite(kappa).all():
                    b, y, x = np.argwhere(~np.isfinite(kappa))[0]
                    raise Refused(f"{path}: map {first + number} is {kappa[b, y, x]} in bin {b} at y {y}, x {x}")
                yield kappa


# ---- parameters ----


def csv_columns(path):
    with open(path, newline="") as file:
        rows = list(csv.reader(line for line in file if line.strip() and not line.startswith("#")))
    names = [name.strip() for name in (rows[0] if rows else [])]
    try:
        return dict(zip(names, np.array([[float(cell) for cell in row] for row in rows[1:]]).reshape(-1, len(names)).T))
    except ValueError as error:
        raise Refused(f"{path}: {error}; every row must have a number in every column") from None


def named_columns(path, data, names):
    """Of an array [row][parameter]."""
    if data.ndim != 2 or data.shape[1] != len(names):
        raise Refused(
            f"{path}: the table has the shape {data.shape}; its attribute parameters names {len(names)} columns"
        )
    return dict(zip(names, np.array(data, float).T))


def columns_of(path, dataset):
    """{name: [row]} of a table."""
    if path.suffix in (".csv", ".txt"):
        return csv_columns(path)
    if path.suffix in (".fits", ".fit"):
        with fits().open(path) as file:
            tables = [i for i, unit in enumerate(file) if not unit.is_image]
            data = file[dataset if dataset else int(only(map(str, tables), "table extensions", path, "--table"))].data
            return {name: np.array(data[name], float) for name in data.names}
    if path.suffix in (".h5", ".hdf5"):
        with h5py.File(path) as file:
            data = file[dataset or ("theta" if "theta" in file else only(file, "datasets", path, "--table"))]
            if data.dtype.names:
                return {name: np.array(data[name], float) for name in data.dtype.names}
            names = data.attrs.get("parameters", "")
            return named_columns(path, data, (names.decode() if isinstance(names, bytes) else str(names)).split(","))
    if path.suffix == ".npy":
        data = np.load(path)
        if not data.dtype.names:
            raise Refused(f"{path}: must be a structured array, whose fields name the parameters; or use CSV")
        return {name: np.array(data[name], float) for name in data.dtype.names}
    raise Refused(f"{path}: its name must end in .csv, .txt, .fits, .h5, .hdf5 or .npy")


def parameters(path, dataset, rename):
    """(names, [map][parameter]): the six of wCDM, then whichever optional ones vary."""
    with reading(path):
        columns = columns_of(path, dataset)
    for old, name in (pair.split("=", 1) for pair in rename):
        if old not in columns:
            raise Refused(f"{path}: has no column {old}, which --rename names; it has {', '.join(columns)}")
        columns[name] = columns.pop(old)
    missing = [name for name in WCDM if name not in columns]
    if missing:
        raise Refused(f"{path}: has no column {', '.join(missing)}; it has {', '.join(columns)}")
    if any(column.ndim != 1 or not len(column) for column in columns.values()):
        raise Refused(
            f"{path}: has no rows, or several numbers in a cell; every row must have a number in every column"
        )
    names = WCDM + [name for name in OPTIONAL if name in columns and np.ptp(columns[name]) > 0]
    for name in names:
        if not np.isfinite(columns[name]).all():
            row = np.argwhere(~np.isfinite(columns[name]))[0, 0]
            raise Refused(f"{path}: {name} is {columns[name][row]} in row {row}")
    return names, np.stack([columns[name] for name in names], axis=1)


# ---- all of it ----


def shuffled_together(generator, theta):
    """place[map] in an order at random in which maps of equal parameters are neighbours."""
    _, universe = np.unique(theta, axis=0, return_inverse=True)
    universe = universe.ravel()
    turn = generator.permutation(universe.max() + 1)[universe]
    place = np.empty(len(theta), int)
    place[np.lexsort((generator.permutation(len(theta)), turn))] = np.arange(len(theta))
    return place


def write(options, part):
    """Everything into the file of this name.  Returns the number of maps, the shape of one and the names."""
    names, theta = parameters(options.parameters, options.table, options.rename)
    count = len(theta)
    # The last maps of a campaign are held out: in their own order they may not be a fair sample of it.
    place = np.arange(count)
    if not options.keep_order:
        generator = np.random.Generator(np.random.Philox(key=options.seed))
        place = shuffled_together(generator, theta) if options.together else generator.permutation(count)
    with h5py.File(part, "w") as out:
        kappa, shape, done = None, None, 0
        for path in sorted(options.maps, key=natural):
            for one in maps_of(path, options):
                shape = shape or one.shape
                if one.shape != shape:
                    raise Refused(f"{path}: a map of {one.shape} [bin][y][x] after maps of {shape}")
                if done == count:
                    raise Refused(f"{path}: the table {options.parameters} has {count} rows, and there are more maps")
                if kappa is None:
                    kappa = out.create_dataset(
                        "kappa", (count, *shape), np.float32, chunks=(1, *shape), fletcher32=True
                    )
                kappa[place[done]] = one
                done += 1
        if done != count:
            raise Refused(f"the table {options.parameters} has {count} rows, and there are {done} maps")
        ordered = np.empty_like(theta)
        ordered[place] = theta
        out["theta"] = ordered
        out["theta"].attrs["parameters"] = np.bytes_(",".join(names))
        out["source"] = place
        out["source"].attrs["description"] = "where the map of each row of the table is in kappa and theta"
        out.attrs["field_of_view"] = options.field_of_view
        out.attrs["maps"] = np.bytes_(
            f"{len(options.maps)} files, the first {sorted(options.maps, key=natural)[0].name}"
        )
    return count, shape, names


def main():
    parser = argparse.ArgumentParser(
        prog="tools/ingest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("maps", nargs="+", type=pathlib.Path, help="files of convergence maps: FITS, NPY, NPZ or HDF5")
    add("--parameters", type=pathlib.Path, required=True, help="table with a row per map and columns " + " ".join(WCDM))
    add("--field-of-view", type=float, required=True, metavar="DEG", help="side of a map along x")
    add("--output", type=pathlib.Path, required=True, help="HDF5 file to write, for simulate_maps")
    add("--axes", help="what each axis of an array is, of n (map), b (bin), y, x; default yx, byx or nbyx")
    add("--dataset", help="name of the maps' dataset, array or FITS extension, where there are several")
    add("--table", help="name of the table's dataset or FITS extension, where there are several")
    add("--scale", type=float, default=1, help="factor on the maps, for other units (default 1)")
    add("--keep-order", action="store_true", help="do not shuffle: the last maps are those held out from training")
    add("--together", action="store_true",
        help="shuffle, but keep maps of equal parameters together: those held out are then of universes not trained on")  # fmt: skip
    add(
        "--rename",
        action="append",
        default=[],
        metavar="COLUMN=NAME",
        help="a column of the table that is called otherwise",
    )
    add("--seed", type=int, default=1, help="of the shuffle (default 1)")
    try:
        options = parser.parse_args()
        if any("=" not in pair for pair in options.rename):
            parser.error("--rename takes COLUMN=NAME")
        if not (math.isfinite(options.field_of_view) and options.field_of_view > 0 and math.isfinite(options.scale)):
            parser.error("--field-of-view takes a positive number, --scale a number")
        if not 0 <= options.seed < 1 << 128:
            parser.error("--seed takes a whole number from 0 up to 2^128")
        if options.together and options.keep_order:
            parser.error("--together shuffles, and --keep-order does not")
    except SystemExit as stop:
        sys.exit(64 if stop.code else 0)
    part = options.output.with_name(options.output.name + ".part")
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        count, shape, names = write(options, part)
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, options.output)
    except (Refused, OSError) as error:
        part.unlink(missing_ok=True)
        print(f"ingest: {error}", file=sys.stderr)
        sys.exit(65 if isinstance(error, (Refused, FileNotFoundError)) else 74)
    bins, ny, nx = shape
    print(f"{options.output}: {count} maps of {bins} bins, {nx} x {ny} pixels; {', '.join(names)}")
    print(
        f"survey: {{map_size: {nx if nx == ny else f'[{nx}, {ny}]'}, field_of_view: {options.field_of_view:g}, bins: {bins}}}"
    )
    print(f"simulate: {{maps: {options.output}, realisations: {count}}}")


if __name__ == "__main__":
    main()
