"""Say what is in a product: kind, provenance, datasets with shapes and units, and whether it is whole.

A campaign directory stands for all its products.  Exit code 0 if everything named is whole, 65 if not, 64 for wrong usage.
"""

import argparse
import concurrent.futures
import multiprocessing
import pathlib
import sys

import h5py
import numpy as np
import xxhash

from .products import DAMAGE, dataset_names, text

OK, DAMAGED = 0, 65
READ_AT_ONCE = 64 << 20  # bytes


def missing_sources(path, dataset):
    """Files that a virtual dataset is made of and that are not there."""
    if not dataset.is_virtual:
        return []
    names = sorted({source.file_name for source in dataset.virtual_sources()})
    return [name for name in names if name != "." and not (path.parent / name).exists()]


def pieces(shape, bytes_each, limit=READ_AT_ONCE):
    """Selections that together are a whole array: stretches of its first axis, divided further where one index of that is
    too much to read at once (a map may be larger than this machine's memory)."""
    row = max(1, bytes_each * int(np.prod(shape[1:], dtype=np.int64)))
    step = max(1, limit // row)
    for start in range(0, shape[0], step):
        if row > limit and len(shape) > 1:
            yield from ((start, *inner) for inner in pieces(shape[1:], bytes_each, limit))
        else:
            yield (slice(start, start + step),)


def rows_in_pieces(dataset):
    """(row, values) of all of a dataset in the order in which it is stored, a part of a row at a time where rows are large."""
    if dataset.shape == ():
        yield 0, dataset[()]
        return
    if dataset.size == 0:
        return
    for piece in pieces(dataset.shape, dataset.dtype.itemsize):
        values = dataset[piece]
        if isinstance(piece[0], slice):
            yield from enumerate(values, piece[0].start)
        else:
            yield piece[0], values


def row_digest(name, row):
    return xxhash.xxh3_64(seed=xxhash.xxh64_intdigest(name, row))


def content_fault(file, name):
    """Read a dataset, so that HDF5 recomputes the Fletcher32 of every chunk (OSError where one differs), and compare the
    digests that tie each row, or the whole, to its place.  None, or what is wrong."""
    dataset, stored = file[name], file.get(f"digest/{name}")
    stored = None if stored is None or dataset.is_virtual else np.ravel(stored[()])
    by_row = stored is not None and dataset.shape != () and len(stored) == dataset.shape[0]
    current, digest = 0, row_digest(name, 0)
    for row, values in rows_in_pieces(dataset):
        if by_row and row != current:
            if digest.intdigest() != stored[current]:
                return f"row {current} does not match its digest"
            current, digest = row, row_digest(name, row)
        if stored is not None:
            digest.update(np.ascontiguousarray(values).tobytes())
    if stored is not None and digest.intdigest() != stored[current if by_row else 0]:
        return f"row {current} does not match its digest" if by_row else "does not match its digest"
    return None


def belongs_together(file):
    """Is the digest of all datasets' digests the one that the product was written with?  Older files have none."""
    if "digest" not in file.attrs:
        return True
    digest = xxhash.xxh3_64()
    for name in dataset_names(file):
        if not file[name].is_virtual:
            digest.update(name.encode() + b"\0")
            digest.update(np.ravel(file[f"digest/{name}"][()]).tobytes())
    return digest.intdigest() == int(np.uint64(file.attrs["digest"]))


def faults_of(path, file, verify):
    """What is wrong with a product, one line each."""
    faults = []
    ours = "format_version" in file.attrs  # files of others may do without checksums
    digested = ours and text(file.attrs.get("kind", "")) != "weights"  # those are for others to read
    for name in dataset_names(file, digests=True):
        dataset = file[name]
        missing = missing_sources(path, dataset)
        if missing:
            faults.append(f"{name}: {len(missing)} of its files are missing, first {missing[0]}")
        if not verify:
            continue
        stored_in_chunks = not dataset.is_virtual and dataset.shape != ()  # a scalar has the checksum of its header
        if ours and stored_in_chunks and dataset.size and not dataset.fletcher32:
            faults.append(f"{name}: no checksum")
        if digested and not name.startswith("digest/") and not dataset.is_virtual and f"digest/{name}" not in file:
            faults.append(f"{name}: no digest")
        try:
            fault = content_fault(file, name)
        except DAMAGE as error:
            fault = str(error).splitlines()[0]
        if fault:
            faults.append(f"{name}: {fault}")
    if verify and digested and not faults and not belongs_together(file):
        faults.append("its datasets do not belong together: the digest of all is not the one it was written with")
    return faults


def short(value):
    """An attribute on one line."""
    if isinstance(value, np.ndarray) and value.size > 16:
        return np.array2string(value.ravel(), threshold=8, edgeitems=3) + f" ({value.size} numbers)"
    return text(value)


def describe(path, show_configuration):
    """The lines about one product, from its attributes."""
    lines = []
    with h5py.File(path, "r") as file:
        attributes = {key: value for key, value in file.attrs.items() if key != "configuration"}
        kind = text(attributes.pop("kind", "no product of nephrite"))
        version = attributes.pop("format_version", None)
        lines.append(("kind", kind + (f", format version {int(np.ravel(version)[0])}" if version is not None else "")))
        lines += [(key, short(value)) for key, value in sorted(attributes.items())]
        rows = [("dataset", "shape", "type", "units", "description")]
        for name in dataset_names(file):
            dataset = file[name]
            shape = "×".join(map(str, dataset.shape)) or "scalar"
            kind = str(dataset.dtype) + (" virtual" if dataset.is_virtual else "")
            notes = [text(dataset.attrs.get(key, "")) for key in ("units", "description")]
            rows.append((name, shape, kind, *notes))
        stored = file.attrs.get("configuration") if show_configuration else None
    width = max(len(key) for key, _ in lines)
    printed = [f"  {key:{width}}  {value}" for key, value in lines]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    for row in rows:
        printed.append("  " + "  ".join(f"{cell:{w}}" for cell, w in zip(row, widths)) + f"  {row[4]}")
    if stored is not None:
        printed += ["  configuration"] + ["    " + line for line in text(stored).splitlines()]
    return printed


def examine(path, arguments):
    """The lines about one product, and its faults; without lines if it cannot be read at all."""
    try:
        printed = describe(path, arguments.configuration)
        with h5py.File(path, "r") as file:
            return printed, faults_of(path, file, arguments.verify)
    except DAMAGE as error:
        return [], [f"cannot be read as HDF5: {str(error).splitlines()[0]}"]


def examine_apart(path, arguments):
    """The same in a process of its own: damage in some places of a file makes HDF5 1.10 abort."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as apart:
        try:
            return apart.submit(examine, path, arguments).result()
        except concurrent.futures.process.BrokenProcessPool:
            return [], ["cannot be read as HDF5: the library ends the process that tries"]


def inspect(path, arguments):
    """Print one product; True if it is whole."""
    print(path)
    if path.suffix == ".part":
        print("  INCOMPLETE: being written, or left by a run that was killed (the next run replaces it)")
        return False
    if not path.exists():
        print("  MISSING: there is no such file")
        return False
    printed, faults = examine_apart(path, arguments)
    print(*printed, sep="\n", end="\n" if printed else "")
    for fault in faults:
        print(f"  DAMAGED: {fault}")
    if not faults:
        print("  whole" + (", every checksum recomputed" if arguments.verify else ""))
    return not faults


def files_of(path):
    """The products that a path stands for."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.suffix in (".h5", ".part") and "report" not in p.parts)
    return [path]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="tools/inspect", description=__doc__.split("\n\n")[0])
    parser.add_argument("path", nargs="+", type=pathlib.Path, help="a product, or a campaign directory for all of them")
    parser.add_argument("--verify", action="store_true", help="read everything, so that every checksum is recomputed")
    parser.add_argument("--configuration", action="store_true", help="print the stored configuration too")
    try:
        arguments = parser.parse_args(arguments)
    except SystemExit as stop:
        return 64 if stop.code else 0
    whole = True
    for path in arguments.path:
        found = files_of(path)
        if not found:
            print(f"{path}\n  no products in it")
            whole = False
        for file in found:
            whole &= inspect(file, arguments)
    return OK if whole else DAMAGED


if __name__ == "__main__":
    sys.exit(main())
