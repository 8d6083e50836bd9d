/** \file calibrate_options.c  The `calibrate` section of a campaign file.  \ingroup calibration */
#include "nephrite/calibration.h"

#define MEMBER(name) offsetof(CalibrateConfig, name)

static const OptionSpec specs[] = {
    {"calibrate_centres", VALUE_INT, MEMBER(centres), "centres", "64", 1, 1e6, NULL, SCOPE_CALIBRATION,
     "random centres for each truth in MIRA and TARP"},
    {"calibrate_bootstraps", VALUE_INT, MEMBER(bootstraps), "", "200", 10, 1e6, NULL, SCOPE_CALIBRATION,
     "bootstrap samples of the truths for the errors of MIRA and TARP, and runs of the published MIRA estimator"},
    {"calibrate_levels", VALUE_INT, MEMBER(levels), "", "21", 2, 10001, NULL, SCOPE_CALIBRATION,
     "credibilities from 0 to 1 at which TARP gives the coverage"},
    {"calibrate_bins", VALUE_INT, MEMBER(bins), "bins", "20", 2, 1000, NULL, SCOPE_CALIBRATION,
     "bins of the histograms of ranks, at most; fewer where they would hold less than five truths"},
    {"calibrate_grid", VALUE_TEXT, MEMBER(grid), "", "Omega_m,S8,w_0", 0, 0, NULL, SCOPE_CALIBRATION,
     "parameters, or Omega_m or S8, along which truths are divided into cells, by where their posterior lies; those "
     "that are fixed are left out"},
    {"calibrate_cells", VALUE_INT, MEMBER(cells), "cells", "3", 1, 10, NULL, SCOPE_CALIBRATION,
     "cells along each of calibrate_grid in which posteriors are judged as well, at most; 1 for none"},
};

const OptionTable calibrate_options = {"calibrate", specs, sizeof specs / sizeof *specs};
