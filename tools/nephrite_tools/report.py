"""Figures, tables and one HTML page of a campaign's products: CAMPAIGN_DIR/report/index.html.

Everything shown is computed from the products; nothing is fetched.  Does nothing when the page is newer than all of them.
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


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="tools/report", description=__doc__.split("\n\n")[0])
    parser.add_argument("campaign", type=pathlib.Path, help="a campaign directory")
    parser.add_argument("--output", type=pathlib.Path, help="where the page goes (default CAMPAIGN_DIR/report)")
    parser.add_argument("--force", action="store_true", help="make it again even if nothing has changed")
    try:
        arguments = parser.parse_args(arguments)
    except SystemExit as stop:
        return USAGE if stop.code else OK
    output = arguments.output or arguments.campaign / "report"
    page = output / "index.html"
    inputs = input_files(arguments.campaign)
    if not any(path.suffix == ".h5" for path in inputs):
        print(f"report: {arguments.campaign} holds no products (sims/, training.h5, posterior/)", file=sys.stderr)
        return INPUT
    if arguments.force or not up_to_date(page, inputs):
        from . import assemble  # numpy, h5py and matplotlib take a second to load

        try:
            assemble.report(arguments.campaign, output)
        except OSError as error:
            print(f"report: {str(error).splitlines()[0]} (tools/inspect --verify names the product)", file=sys.stderr)
            return INPUT
    print(page)
    return OK


if __name__ == "__main__":
    sys.exit(main())
