"""Figures, tables and one HTML page of a campaign's products, or of a study by jobs/scaling: DIR/report/index.html.

Everything shown is computed from the products; nothing is fetched.  Does nothing when the page of a campaign is newer than all of them.
Exit code 0 when the page is there, 64 for wrong usage, 65 if there is nothing to report on or a product is damaged.
"""

import argparse
import pathlib
import sys

OK, USAGE, INPUT = 0, 64, 65


def newest(paths):
    return max((path.stat().st_mtime_ns for path in paths), default=0)


def up_to_date(page, inputs):
    """Is the page newer than its inputs and than the code that makes it?"""
    code = pathlib.Path(__file__).parent.glob("*.py")
    return page.exists() and page.stat().st_mtime_ns > newest([*inputs, *code])


def input_files(directory):
    """Every file that the report depends on."""
    names = ("sims/campaign.h5", "training.h5", "stages.csv")
    single = [path for path in (directory / name for name in names) if path.exists()]
    single += sorted(directory.glob("calibration*.h5"))
    return single + [
        path
        for folder in ("posterior", "posterior-*", "map", "coverage", "coverage-*")
        for path in directory.glob(f"{folder}/*.h5")
    ]


def numbers_of_ranks(text):
    try:
        ranks = sorted({int(word) for word in text.split(",")})
    except ValueError:
        ranks = [0]
    if ranks[0] < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not numbers from 1 with commas between them")
    return ranks


def report_campaign(directory, output, force):
    """Exit code."""
    page = output / "index.html"
    inputs = input_files(directory)
    if not any(path.suffix == ".h5" for path in inputs):
        print(f"report: {directory} holds no products (sims/, training.h5, posterior/)", file=sys.stderr)
        return INPUT
    if force or not up_to_date(page, inputs):
        from . import assemble  # numpy, h5py and matplotlib take a second to load

        try:
            assemble.report(directory, output)
        except OSError as error:
            print(f"report: {str(error).splitlines()[0]} (tools/inspect --verify names the product)", file=sys.stderr)
            return INPUT
    print(page)
    return OK


def report_study(directory, output, asked):
    """Exit code.  Always made again: it takes a moment, and depends on what is asked."""
    from . import assemble_study

    try:
        assemble_study.report(directory, output, asked)
    except OSError as error:
        print(f"report: {error}", file=sys.stderr)
        return INPUT
    print(output / "index.html")
    return OK


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="tools/report", description=__doc__.split("\n\n")[0])
    parser.add_argument("directory", type=pathlib.Path, help="a campaign directory, or one of jobs/scaling")
    parser.add_argument("--output", type=pathlib.Path, help="where the page goes (default DIR/report)")
    parser.add_argument(
        "--force", action="store_true", help="make it again even if nothing has changed (that of a study always is)"
    )
    parser.add_argument("--extrapolate", type=numbers_of_ranks, metavar="64,256", default=[],
                        help="numbers of ranks to which the fit of a study is drawn on")  # fmt: skip
    try:
        arguments = parser.parse_args(arguments)
    except SystemExit as stop:
        return USAGE if stop.code else OK
    output = arguments.output or arguments.directory / "report"
    if any(arguments.directory.glob("*-*/plan")):
        return report_study(arguments.directory, output, arguments.extrapolate)
    if arguments.extrapolate:
        print(f"report: {arguments.directory} is no study of jobs/scaling: nothing to extrapolate", file=sys.stderr)
        return USAGE
    return report_campaign(arguments.directory, output, arguments.force)


if __name__ == "__main__":
    sys.exit(main())
