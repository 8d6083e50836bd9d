"""Put the report of a study of scaling together: its CSV files, figures, and the page."""

import datetime

from . import figures_study, page, study, style

EXACT = 1e-9  # residuals that are rounding


def report(directory, output, asked):
    """Write STUDY/<program>-<mode>.csv and output/index.html.  asked: numbers of ranks to extrapolate to.

    Raises OSError if there is nothing to report on, or nothing to extrapolate from.
    """
    all_measured = study.read(directory)
    if not all_measured:
        raise OSError(f"{directory}: no run has ended yet")
    fits = {measured.name: study.fit_of(measured) for measured in all_measured}
    if asked and not any(fits.values()):
        raise OSError(
            f"{directory}: one number of ranks alone is measured, from which nothing is extrapolated; measure two"
        )
    for measured in all_measured:
        study.write_csv(measured, directory / f"{measured.name}.csv")
    style.apply()
    with page.making(output) as folder:
        figures, summary, provenance = [], [], []
        for measured in all_measured:
            fit = fits[measured.name]
            further = [ranks for ranks in asked if ranks not in measured.best] if fit else []
            figures += [figures_study.scaling(folder, measured, fit, further), figures_study.parts(folder, measured)]
            summary += rows_of(measured, fit, further)
            provenance.append(
                (measured.name, "; ".join(f"{key} {value}" for key, value in measured.plan.items() if value))
            )
            provenance += [(f"{run.ranks}-{run.repeat}", run.about) for run in measured.runs]
        made = f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
        subtitle = (
            f"made {made} from {directory.resolve()}; {all_measured[0].name}/campaign.yaml there is the campaign file"
        )
        title = f"Scaling of {directory.resolve().name}"
        page.write(folder / "index.html", title, subtitle, summary, figures, provenance, "")


def ranks_in_words(ranks):
    return f"{ranks} rank{'' if ranks == 1 else 's'}"


def rows_of(measured, fit, further):
    """Rows of the page's table: what was measured, the fit, and what it says of further numbers of ranks."""
    name, unit, best = measured.name.replace("-", ", "), measured.plan["unit"], measured.best
    of_ranks = "all ranks together" if measured.mode == "strong" else "each rank"
    rows = []
    for ranks, run in best.items():
        all_seconds = [other.seconds for other in measured.runs if other.ranks == ranks]
        speed_up = measured.speed_up(ranks, run.seconds)
        what = f"speed-up {speed_up:.4g}, efficiency {speed_up / ranks:.3f}; {run.rate:.4g} {unit}/s"
        if len(all_seconds) > 1:
            what += f"; the slowest of {len(all_seconds)} runs took {max(all_seconds):.4g} s"
        rows.append((f"{name}: {ranks_in_words(ranks)} on {run.nodes} node{'' if run.nodes == 1 else 's'}",
                     f"{run.seconds:.4g} s", f"{what}; {measured.plan['work']} {unit} of {of_ranks}"))  # fmt: skip
    rows.append((f"{name}: fit", *words_of(fit)))
    for ranks in further:
        seconds = fit.seconds(ranks)
        speed_up = measured.speed_up(ranks, seconds)
        what = f"speed-up {speed_up:.4g}, efficiency {speed_up / ranks:.3f}; by the fit, not measured"
        what += " on more than one node" if max(run.nodes for run in best.values()) == 1 else ""
        rows.append((f"{name}: {ranks_in_words(ranks)}, {study.kind(measured, ranks)}", f"{seconds:.4g} s", what))
    return rows


def words_of(fit):
    """(the terms, how well they fit)."""
    if fit is None:
        return "none", "one number of ranks alone is measured; nothing is extrapolated from it"
    found = "; ".join(f"{term.name} {term.coefficient:.4g} {term.unit}" for term in fit.terms)
    if max(map(abs, fit.residuals.values())) < EXACT:
        return found, f"it goes through all {len(fit.residuals)} points: nothing is left to judge it by"
    residuals = ", ".join(f"{value:+.1%} on {ranks}" for ranks, value in fit.residuals.items())
    return found, f"measured less fitted: {residuals}"
