/** \file train_options.c  The `train` section of a campaign file.  \ingroup training */
#include "nephrite/training.h"

#include <inttypes.h>

#define COURSE SCOPE_TRAINING
#define MEMBER(name) offsetof(TrainConfig, name)

/* The defaults are the published stage 1 (Remy, Chang & Willett 2026, arXiv:2606.31988): 600 passes over 100,000 maps.
 */
static const OptionSpec specs[] = {
    {"train_steps", VALUE_INT64, MEMBER(steps), "steps", "468750", 1, 1e12, NULL, COURSE,
     "optimiser steps in all; may be raised later to go on (the learning rate then follows the longer schedule)"},
    {"train_batch", VALUE_INT, MEMBER(batch), "samples", "128", 1, 1 << 24, NULL, COURSE,
     "samples in a step, of all ranks together"},
    {"train_micro_batch", VALUE_INT, MEMBER(micro_batch), "samples", "8", 1, 1 << 16, NULL, SCOPE_RUN,
     "samples a rank has in memory at once; gradients of a larger share are accumulated"},
    {"train_learning_rate", VALUE_REAL, MEMBER(learning_rate), "", "5e-3", 0, 1, NULL, COURSE,
     "learning rate of the first step after warm-up"},
    {"train_final_learning_rate", VALUE_REAL, MEMBER(final_learning_rate), "", "1e-4", 0, 1, NULL, COURSE,
     "learning rate of the last step, where the schedule is not constant"},
    {"train_schedule", VALUE_CHOICE, MEMBER(schedule), "", "linear", 0, 0, "constant|linear|cosine", COURSE,
     "course of the learning rate from its first to its final value"},
    {"train_warmup", VALUE_INT64, MEMBER(warmup), "steps", "0", 0, 1e12, NULL, COURSE,
     "steps in which the learning rate rises linearly to its first value"},
    {"train_beta1", VALUE_REAL, MEMBER(beta1), "", "0.9", 0, 0.999999, NULL, COURSE,
     "decay of AdamW's mean of gradients"},
    {"train_beta2", VALUE_REAL, MEMBER(beta2), "", "0.95", 0, 0.999999, NULL, COURSE,
     "decay of AdamW's mean of squared gradients"},
    {"train_epsilon", VALUE_REAL, MEMBER(epsilon), "", "1e-8", 1e-30, 1, NULL, COURSE,
     "added to AdamW's root mean square of gradients"},
    {"train_weight_decay", VALUE_REAL, MEMBER(weight_decay), "", "0", 0, 10, NULL, COURSE,
     "AdamW's decoupled weight decay, alike on every tensor"},
    {"train_clip", VALUE_REAL, MEMBER(clip), "", "1", 1e-12, 1e30, NULL, COURSE,
     "largest norm of the gradient of all parameters together; a longer one is scaled down to it"},
    {"train_ema_decay", VALUE_REAL, MEMBER(ema_decay), "", "0.9996", 0, 0.99999999, NULL, COURSE,
     "decay per step of the averaged weights, which validation and inference use"},
    {"train_time_mean", VALUE_REAL, MEMBER(time_mean), "", "-0.8", -20, 20, NULL, COURSE,
     "mu of the diffusion times t = sigmoid((n + mu) sigma), n standard normal"},
    {"train_time_scale", VALUE_REAL, MEMBER(time_scale), "", "0.8", 1e-3, 20, NULL, COURSE,
     "sigma of the diffusion times t = sigmoid((n + mu) sigma), n standard normal"},
    {"train_theta_weight", VALUE_REAL, MEMBER(theta_weight), "", "1", 0, 1e12, NULL, COURSE,
     "weight of the parameters in the loss; 1 counts a parameter as much as one pixel"},
    {"train_mean_weight", VALUE_REAL, MEMBER(mean_weight), "", "1", 0, 1e12, NULL, COURSE,
     "weight in the loss of the error of each map's mean; 1 counts it as much as one pixel"},
    {"train_source", VALUE_CHOICE, MEMBER(source), "", "shards", 0, 0, "shards|online", COURSE,
     "maps from the campaign's shards, or simulated afresh so that none is seen twice"},
    {"train_simulation_ranks", VALUE_INT, MEMBER(simulation_ranks), "ranks", "0", 0, 1 << 20, NULL, SCOPE_RUN,
     "of all ranks, those that simulate for the others instead of training (train_source online)"},
    {"train_held_out", VALUE_INT64, MEMBER(held_out), "realisations", "1000", 1, 1e12, NULL, COURSE,
     "the campaign's last realisations, kept for validation and calibration and never trained on"},
    {"train_validate_every", VALUE_INT64, MEMBER(validate_every), "steps", "1000", 1, 1e12, NULL, COURSE,
     "steps between validations of the averaged weights on the held-out realisations; the last step is validated too"},
    {"train_validations", VALUE_INT64, MEMBER(validations), "realisations", "1000", 1, 1e12, NULL, COURSE,
     "held-out realisations used in a validation, at most"},
    {"train_patience", VALUE_INT64, MEMBER(patience), "validations", "0", 0, 1e12, NULL, COURSE,
     "validations in a row, none with a smaller loss of the parameters than the best before them, after which training "
     "ends early; 0 for never"},
    {"train_checkpoint_every", VALUE_INT64, MEMBER(checkpoint_every), "steps", "1000", 1, 1e12, NULL, SCOPE_RUN,
     "steps between checkpoints; there is one at the end and at an interruption too"},
    {"train_keep", VALUE_INT, MEMBER(keep), "checkpoints", "2", 1, 1 << 20, NULL, SCOPE_RUN,
     "newest checkpoints kept, beside the best one"},
    {"train_recompute", VALUE_FLAG, MEMBER(recompute), "", "false", 0, 0, NULL, SCOPE_RUN,
     "compute activations a second time in backward instead of keeping them: less memory, a third more arithmetic, the "
     "same result"},
    {"train_precision", VALUE_CHOICE, MEMBER(precision), "", "float32", 0, 0, "float32|bfloat16", SCOPE_RUN,
     "what factors are rounded to in the matrix products of the network's blocks: bfloat16 is faster on processors "
     "with "
     "AVX512-BF16 or AMX, where nephrite was built with oneDNN; sums and weights are float32 all the same"},
    {"train_shard_optimizer", VALUE_FLAG, MEMBER(shard_optimizer), "", "false", 0, 0, NULL, SCOPE_RUN,
     "share the optimiser's moments and the averaged weights among the ranks: less memory and arithmetic for each"},
    {"train_freeze_position", VALUE_FLAG, MEMBER(freeze_position), "", "false", 0, 0, NULL, COURSE,
     "keep the position embedding of the field tokens at its starting table"},
    {"train_start_from", VALUE_TEXT, MEMBER(start_from), "", "", 0, 0, NULL, COURSE,
     "checkpoint, campaign directory or file of weights whose averaged weights and normalisation a new training starts "
     "with; empty for random weights"},
};

const OptionTable train_options = {"train", specs, sizeof specs / sizeof *specs};

PetscErrorCode train_config_check(const TrainConfig *train, const SimulateConfig *simulate)
{
  PetscFunctionBeginUser;
  PetscCheck(train->warmup < train->steps, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "train_warmup is %" PRId64 " steps; it must be less than train_steps, %" PRId64, train->warmup,
             train->steps);
  PetscCheck(
      train->source != SOURCE_SHARDS || train->held_out < simulate->realisations, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
      "train_held_out is %" PRId64 "; of simulate_realisations, %" PRId64 ", at least one must be left to train on",
      train->held_out, simulate->realisations);
  PetscCheck(train->source != SOURCE_ONLINE || !simulate->maps[0], PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "train_source online simulates maps afresh, and simulate_maps names maps made elsewhere; train on shards");
  PetscCheck(train->source == SOURCE_ONLINE || !train->simulation_ranks, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "train_simulation_ranks is %d, but train_source is shards; only online do ranks simulate for others",
             (int)train->simulation_ranks);
  PetscCheck(train->held_out <= simulate->realisations, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "train_held_out is %" PRId64 "; the campaign has simulate_realisations, %" PRId64, train->held_out,
             simulate->realisations);
  PetscFunctionReturn(PETSC_SUCCESS);
}
