"""tools/weights: a network's weights out of a checkpoint, as a plain HDF5 file that any program can read.

The checkpoint is verified first. Of a campaign directory it is the best one, by the parameter part of the validation
loss, as nephrite-infer takes it. What is written can be read by h5py, and be named by -train_start_from and
-infer_checkpoint; doc/manual.md has the layout.
"""

import argparse
import contextlib
import io
import os
import pathlib
import re
import sys

import h5py
import numpy as np

from . import products, weights_file
from .inspect import faults_of

USAGE, INPUT, IO = 64, 65, 74
CHECKPOINT_VERSION = 5  # the latest that this reads
WHERE_MADE = re.compile(r"^(config|campaign): .*\n", re.MULTILINE)  # of no use to others
WHAT = {"ema": "exponential average of the weights, for inference", "weights": "weights after the last step"}


class Refused(Exception):
    """What cannot be done, and the exit code that says why."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


# ---- which checkpoint ----


def kind_fault(path, file):
    """None if the file is a checkpoint, else what is wrong.  One of a later version is whole, though not to us."""
    kind, version = products.text(file.attrs.get("kind", "")), int(file.attrs.get("format_version", 0))
    if kind != "checkpoint":
        return "is not a checkpoint of nephrite" + (f" but a {kind}" if kind else "")
    if version > CHECKPOINT_VERSION:
        raise Refused(INPUT, f"{path}: a later version of nephrite made it, of format {version}; "
                             f"this one reads up to {CHECKPOINT_VERSION}")  # fmt: skip
    return None


def fault_of(path):
    """None if the checkpoint is sound, every digest recomputed; else what is wrong with it."""
    try:
        with h5py.File(path, "r") as file:
            fault = kind_fault(path, file)
            return fault or next(iter(faults_of(path, file, verify=True)), None)
    except products.DAMAGE as error:
        return str(error).splitlines()[0]


def best_step(path):
    """The step of the best validation that a sound checkpoint knows of; None if it knows of none."""
    with h5py.File(path, "r") as file:
        theta, step = file["history/validation/theta"][:], file["history/validation/step"][:]
    return int(step[np.argmin(theta)]) if len(theta) else None


def sound(path):
    """The path of a checkpoint that is whole."""
    fault = fault_of(path)
    if fault is not None:
        raise Refused(INPUT, f"{path}: {fault}")
    return path


def best_of(directory):
    """The checkpoint that model_load() takes: the newest one knows which one is the best; if that was removed, itself."""
    folder = directory / "checkpoints"
    found = [(re.fullmatch(r"step-(\d+)\.h5", path.name), path) for path in folder.glob("step-*.h5")]
    steps = {int(match[1]): path for match, path in found if match}
    if not steps:
        raise Refused(INPUT, f"{folder} holds no checkpoint step-*.h5; nephrite-train makes them")
    newest = sound(steps[max(steps)])
    return sound(steps.get(best_step(newest), newest))


def checkpoint_of(source):
    if source.is_dir():
        return best_of(source)
    if not source.exists():
        raise Refused(INPUT, f"{source}: there is no such file")
    return sound(source)


# ---- writing ----


def parameter_names(configuration):
    """The columns of theta: the six of wCDM, then whatever else has a distribution."""
    names = []
    for option, value in configuration.items():
        name = option.removeprefix("prior_")
        if name != option and (name in products.WCDM or not str(value).startswith("fixed:")):
            names.append(name)
    return names


def attributes_of(file, what):
    """Everything but the tensors.  Texts of fixed length: one of variable length would lie beyond the checksums."""
    attributes = {name: file.attrs[name] for name in (*weights_file.ARCHITECTURE, "dropout", "seed")}
    attributes.update({name: file.attrs[name] for name in weights_file.LATER if name in file.attrs})
    for name in weights_file.STATISTICS:
        if name in file:
            attributes[name] = np.asarray(file[name], "<f8")
    for name in ("step", "position", "trained"):
        attributes[name] = np.int64(file[name][()])
    names = parameter_names(products.configuration(file))
    if len(names) != int(file.attrs["parameters"]):
        raise Refused(INPUT, f"{file.filename}: its configuration has {len(names)} parameters, its network "
                             f"{int(file.attrs['parameters'])}")  # fmt: skip
    texts = {"kind": weights_file.KIND, "what": what, "parameter_names": ",".join(names)}
    for name in ("conditioning", "output", "flow", "configuration", "version", "revision"):
        if name in file.attrs:
            texts[name] = products.text(file.attrs[name])
    texts["configuration"] = WHERE_MADE.sub("", texts.get("configuration", ""))
    attributes.update({name: np.bytes_(value.encode()) for name, value in texts.items()})
    return {**attributes, "format_version": np.int64(weights_file.VERSION)}


def new_file_in(memory):
    """An HDF5 file in the format of HDF5 1.10, which has checksums on everything that is not data, and without time
    stamps: equal weights are an equal file."""
    creation, access = h5py.h5p.create(h5py.h5p.FILE_CREATE), h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    creation.set_obj_track_times(False)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, memory)
    return h5py.File(h5py.h5f.create(b"weights", h5py.h5f.ACC_TRUNC, creation, access))


def image_of(checkpoint, what):
    """The bytes of the file.  It is made in memory, since HDF5 takes a full disk badly."""
    memory = io.BytesIO()
    with h5py.File(checkpoint, "r") as file, new_file_in(memory) as out:
        for name, value in attributes_of(file, what).items():
            out.attrs[name] = value
        for name, tensor in file[what].items():
            values = tensor[()]
            out.create_dataset(name, data=values, chunks=tensor.chunks, fletcher32=True, track_times=False)
    return memory.getbuffer()


def sync_directory(directory):
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(image, output):
    """Under the final name only when it is whole and safe on disk."""
    part = output.with_name(output.name + ".part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(image)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, output)
        sync_directory(output.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise Refused(IO, f"{output}: cannot be written: {error.strerror}") from None


def export(source, output, what, force):
    """Returns the checkpoint that was taken."""
    if output.is_dir():
        raise Refused(USAGE, f"{output}: is a directory; name a file")
    if output.exists() and not force:
        raise Refused(USAGE, f"{output}: exists already; --force writes over it")
    checkpoint = checkpoint_of(source)
    if output.exists() and output.samefile(checkpoint):
        raise Refused(USAGE, f"{output}: is the checkpoint itself; name another file")
    try:
        image = image_of(checkpoint, what)
    except products.DAMAGE as error:  # it was sound a moment ago: a running training may have removed it
        raise Refused(INPUT, f"{checkpoint}: {str(error).splitlines()[0]}") from None
    write(image, output)
    return checkpoint


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="tools/weights", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command = parser.add_subparsers(required=True, metavar="export").add_parser(
        "export", help="a checkpoint's weights into a file", description=__doc__.split("\n\n")[0]
    )
    command.add_argument("source", type=pathlib.Path, help="a checkpoint, or a campaign directory for its best one")
    command.add_argument("output", type=pathlib.Path, metavar="FILE", help="HDF5 file to write")
    command.add_argument("--what", choices=list(WHAT), default="ema",
        help="the averaged weights, which inference uses, or those of the last step (default ema)")  # fmt: skip
    command.add_argument("--force", action="store_true", help="write over FILE if it exists")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return USAGE if stop.code else 0
    try:
        checkpoint = export(options.source, options.output, options.what, options.force)
    except Refused as refused:
        print(f"weights: {refused}", file=sys.stderr)
        return refused.code
    with h5py.File(options.output) as file:
        count, values = len(file), sum(int(file[name].size) for name in file)
        print(f"{options.output}: {count} tensors, {values} weights of {checkpoint}: {WHAT[options.what]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
