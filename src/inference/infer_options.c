/** \file infer_options.c  The `infer` section of a campaign file, -task and -observation.  \ingroup inference */
#include "nephrite/inference.h"

#define MEMBER(name) offsetof(InferConfig, name)

static const OptionSpec specs[] = {
    {"task", VALUE_CHOICE, MEMBER(task), "", "posterior", 0, 0, "posterior|coverage|map", SCOPE_RUN,
     "posterior: draws for some observations, with their maps; coverage: many observations, and calibration tests; "
     "map: "
     "the most probable map at the parameters of infer_fiducial, without a network"},
    {"infer_method", VALUE_CHOICE, MEMBER(method), "", "diffusion", 0, 0, "diffusion|gaussian|hmc|wiener|ks", SCOPE_RUN,
     "draws by the trained network (diffusion), from the exact posterior of a Gaussian field (gaussian) or by "
     "Hamiltonian Monte Carlo on the simulator's own model (hmc); a map alone by the Wiener filter (wiener) or of the "
     "observation itself (Kaiser & Squires, ks)"},
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
    {"infer_evaluations", VALUE_INT, MEMBER(evaluations), "", "16", 3, 100001, NULL, SCOPE_POSTERIOR,
     "network evaluations for a draw, at most (with network_flow parameters_first of its parameters, and as many of "
     "its "
     "map): two for a step of heun, one for a step of multistep2 and multistep3; "
     "adaptive has no limit"},
    {"infer_solver", VALUE_CHOICE, MEMBER(solver), "", "multistep3", 0, 0, "heun|multistep2|multistep3|adaptive",
     SCOPE_POSTERIOR,
     "how draws follow the flow from noise to data: Heun's method as published, multistep methods with the last two or "
     "three predictions, or steps that follow from a tolerance, for reference"},
    {"infer_noise_left", VALUE_REAL, MEMBER(noise_left), "", "0.02", 1e-6, 0.5, NULL, SCOPE_POSTERIOR,
     "not of heun: how much of the noise a draw still has when it is moved onto the network's prediction"},
    {"infer_spacing", VALUE_REAL, MEMBER(spacing), "", "4", 1, 16, NULL, SCOPE_POSTERIOR,
     "of multistep2 and multistep3: the noise left, to the power 1/spacing, falls by as much in every step; 1 for "
     "equal "
     "steps, more for shorter ones towards the end"},
    {"infer_tolerance", VALUE_REAL, MEMBER(tolerance), "", "1e-4", 1e-6, 1, NULL, SCOPE_POSTERIOR,
     "of adaptive: error allowed in a step, in units of the spread of maps and parameters over the prior"},
    {"infer_closing", VALUE_CHOICE, MEMBER(closing), "", "prediction", 0, 0, "prediction|heun|published",
     SCOPE_POSTERIOR,
     "last step of heun: onto the network's prediction, as the others, or as published with one more Euler step"},
    {"infer_keep_maps", VALUE_INT, MEMBER(keep_maps), "observations", "8", 0, 1e8, NULL, SCOPE_RUN,
     "observations of -task coverage whose drawn maps are kept; of the others only parameters, means and counts are"},
    {"infer_chains", VALUE_INT, MEMBER(chains), "", "4", 1, 1e4, NULL, SCOPE_POSTERIOR,
     "Markov chains of an observation, each a unit of work and of as many draws; for -infer_method gaussian and hmc"},
    {"infer_warmup", VALUE_INT, MEMBER(warmup), "steps", "0", 0, 1e8, NULL, SCOPE_POSTERIOR,
     "of a chain before its first draw; 0: what suits the method (gaussian 2000, hmc 500)"},
    {"infer_thinning", VALUE_INT, MEMBER(thinning), "steps", "0", 0, 1e6, NULL, SCOPE_POSTERIOR,
     "of a chain from draw to draw; 0: what suits the method (gaussian 50, hmc 4)"},
    {"infer_group_size", VALUE_INT, MEMBER(group_size), "ranks", "1", 1, 1 << 20, NULL, SCOPE_RUN,
     "of hmc: ranks that have a chain together, each some rows of its maps"},
    {"infer_emulator", VALUE_FLAG, MEMBER(emulator), "", "true", 0, 0, NULL, SCOPE_POSTERIOR,
     "of hmc and gaussian: let chains follow an emulator of the spectra; draws are of the exact model either way. "
     "false: "
     "the model itself, slower by far, for parameters at the edge of the prior where an emulator fails"},
    {"infer_max_depth", VALUE_INT, MEMBER(max_depth), "", "10", 1, 20, NULL, SCOPE_POSTERIOR,
     "of hmc: how often a trajectory may double, up to 2^depth gradients for a step of the chain"},
    {"infer_acceptance", VALUE_REAL, MEMBER(acceptance), "", "0.8", 0.5, 0.999, NULL, SCOPE_POSTERIOR,
     "of hmc: mean acceptance that the step size is learnt for; more, where trajectories diverge"},
    {"infer_checkpoint_minutes", VALUE_REAL, MEMBER(checkpoint_minutes), "minutes", "10", 0, 1e6, NULL, SCOPE_RUN,
     "of hmc: between the times at which a chain is saved, from where a run that was killed goes on"},
    {"infer_iterations", VALUE_INT, MEMBER(iterations), "", "1000", 1, 1e6, NULL, SCOPE_ESTIMATE,
     "of -task map, at most"},
    {"infer_fiducial", VALUE_TEXT, MEMBER(fiducial), "", "", 0, 0, NULL, SCOPE_ESTIMATE,
     "parameters of -infer_method wiener and -task map, as sigma_8=0.8,Omega_c=0.25; those not named are at their "
     "prior's means"},
    {"infer_smoothing", VALUE_REAL, MEMBER(smoothing_arcmin), "arcmin", "0", 0, 1e4, NULL, SCOPE_ESTIMATE,
     "standard deviation of the Gaussian that the map of -infer_method ks is smoothed with"},
};

const OptionTable infer_options = {"infer", specs, sizeof specs / sizeof *specs};
