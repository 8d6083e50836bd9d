/** \file infer_options.c  The `infer` section of a campaign file, -task and -observation.  \ingroup inference */
#include "nephrite/inference.h"

#define MEMBER(name) offsetof(InferConfig, name)

static const OptionSpec specs[] = {
    {"task", VALUE_CHOICE, MEMBER(task), "", "posterior", 0, 0, "posterior|coverage", SCOPE_RUN,
     "posterior: draws for some observations, with their maps; coverage: many observations, and calibration tests"},
    {"infer_method", VALUE_CHOICE, MEMBER(method), "", "diffusion", 0, 0, "diffusion|ks", SCOPE_RUN,
     "diffusion: draws by the trained network; ks: a map alone, by Kaiser & Squires"},
    {"observation", VALUE_TEXT, MEMBER(observation), "", "", 0, 0, NULL, SCOPE_RUN,
     "HDF5 file of an observation (doc/manual.md has the layout); empty for held-out maps of the campaign"},
    {"infer_checkpoint", VALUE_TEXT, MEMBER(checkpoint), "", "", 0, 0, NULL, SCOPE_RUN,
     "checkpoint, or file of weights, to draw with; empty for the campaign's best"},
    {"infer_draws", VALUE_INT, MEMBER(draws), "draws", "256", 2, 1e8, NULL, SCOPE_POSTERIOR,
     "draws for an observation"},
    {"infer_observations", VALUE_INT, MEMBER(observations), "observations", "8", 1, 1e8, NULL, SCOPE_RUN,
     "held-out realisations that are observed, the first ones of those that train_held_out keeps"},
    {"infer_batch", VALUE_INT, MEMBER(batch), "draws", "32", 1, 1e6, NULL, SCOPE_RUN,
     "draws that a rank makes at once: the unit of work, which an interrupted run finishes"},
    {"infer_evaluations", VALUE_INT, MEMBER(evaluations), "", "63", 3, 100001, NULL, SCOPE_POSTERIOR,
     "network evaluations for a draw, at most; two for a step of Heun's method"},
    {"infer_closing", VALUE_CHOICE, MEMBER(closing), "", "prediction", 0, 0, "prediction|heun|published",
     SCOPE_POSTERIOR,
     "last step: onto the network's prediction, as the others, or as published with one more Euler step"},
    {"infer_keep_maps", VALUE_INT, MEMBER(keep_maps), "observations", "8", 0, 1e8, NULL, SCOPE_RUN,
     "observations of -task coverage whose drawn maps are kept; of the others only parameters, means and counts are"},
    {"infer_smoothing", VALUE_REAL, MEMBER(smoothing_arcmin), "arcmin", "0", 0, 1e4, NULL, SCOPE_ESTIMATE,
     "standard deviation of the Gaussian that the map of -infer_method ks is smoothed with"},
};

const OptionTable infer_options = {"infer", specs, sizeof specs / sizeof *specs};
