/** \file network_options.c  The `network` section of a campaign file, and what makes an architecture possible.
 * \ingroup network */
#include "internal.h"

#define MEMBER(name) offsetof(NetworkConfig, name)

/* The defaults are the published network (Remy, Chang & Willett 2026, arXiv:2606.31988) in its first stage. */
static const OptionSpec specs[] = {
    {"network_depth", VALUE_INT, MEMBER(depth), "blocks", "12", 1, 1000, NULL, SCOPE_NETWORK, "transformer blocks"},
    {"network_width", VALUE_INT, MEMBER(width), "", "768", 4, 65536, NULL, SCOPE_NETWORK,
     "numbers per token; 4 times the number of heads must divide it"},
    {"network_heads", VALUE_INT, MEMBER(heads), "", "12", 1, 16384, NULL, SCOPE_NETWORK, "attention heads"},
    {"network_patch", VALUE_INT, MEMBER(patch), "pixels", "8", 1, 4096, NULL, SCOPE_NETWORK,
     "side of a patch of the map; a map that it does not divide is padded"},
    {"network_observation_patch", VALUE_INT, MEMBER(observation_patch), "pixels", "8", 1, 4096, NULL, SCOPE_NETWORK,
     "side of a patch of the observation (conditioning by tokens)"},
    {"network_observation_start", VALUE_INT, MEMBER(observation_start), "", "0", 0, 999, NULL, SCOPE_NETWORK,
     "first block that sees the observation's tokens (conditioning by tokens)"},
    {"network_cosmology_tokens", VALUE_INT, MEMBER(cosmology_tokens), "tokens", "16", 1, 65536, NULL, SCOPE_NETWORK,
     "tokens that carry the cosmological parameters"},
    {"network_spectra", VALUE_INT, MEMBER(spectra), "bands", "0", 0, NEPHRITE_MAX_SUMMARIES, NULL, SCOPE_NETWORK,
     "band powers of the observation, of each pair of bins, that the cosmology tokens are told; 0 for none"},
    {"network_one_point", VALUE_INT, MEMBER(one_point), "intervals", "0", 0, NEPHRITE_MAX_SUMMARIES, NULL,
     SCOPE_NETWORK,
     "intervals of the one-point distribution of the observation, of each bin and sum of two bins at each of four "
     "scales, that the cosmology tokens are told; 0 for none"},
    {"network_bottleneck", VALUE_INT, MEMBER(bottleneck), "", "128", 1, 65536, NULL, SCOPE_NETWORK,
     "width between the two linear maps that embed a patch"},
    {"network_time_frequencies", VALUE_INT, MEMBER(time_frequencies), "", "256", 2, 65536, NULL, SCOPE_NETWORK,
     "cosines and sines of the diffusion time, together; even"},
    {"network_conditioning", VALUE_CHOICE, MEMBER(conditioning), "", "tokens", 0, 0, "tokens|channels", SCOPE_NETWORK,
     "the observation as tokens of its own, or as more channels of the map (half the sequence)"},
    {"network_output", VALUE_CHOICE, MEMBER(output), "", "clean", 0, 0, "clean|residual|wiener", SCOPE_NETWORK,
     "what the heads say: the clean data; their difference from the best linear guess from the noisy data alone; or of "
     "maps that from the noisy map and the observation, with the power spectra of both, which the network is shown"},
    {"network_flow", VALUE_CHOICE, MEMBER(flow), "", "joint", 0, 0, "joint|parameters_first", SCOPE_NETWORK,
     "map and parameters become of noise together, or the parameters first and then, given these, the map"},
    {"network_dropout", VALUE_REAL, MEMBER(dropout), "", "0.3", 0, 0.95, NULL, SCOPE_TRAINING,
     "probability of dropout in some of the blocks, in training only"},
    {"network_dropout_first", VALUE_INT, MEMBER(dropout_first), "", "-1", -1, 999, NULL, SCOPE_TRAINING,
     "first block with dropout, counted from 0; -1: network_depth/4, rounded down, so that the middle half drops"},
    {"network_dropout_last", VALUE_INT, MEMBER(dropout_last), "", "-1", -1, 999, NULL, SCOPE_TRAINING,
     "last block with dropout; -1: the one before 3 (network_depth/4)"},
    {"network_rms_epsilon", VALUE_REAL, MEMBER(rms_epsilon), "", "1e-6", 1e-12, 1, NULL, SCOPE_NETWORK,
     "added to the mean square under the root of every RMS norm"},
    {"network_time_floor", VALUE_REAL, MEMBER(time_floor), "", "0.05", 1e-6, 1, NULL, SCOPE_NETWORK,
     "least value of 1-t in a division, in the loss and in the sampler"},
    {"network_rope_base", VALUE_REAL, MEMBER(rope_base), "", "10000", 1, 1e12, NULL, SCOPE_NETWORK,
     "base of the rotary positions' wavelengths"},
    {"network_time_max_period", VALUE_REAL, MEMBER(time_max_period), "", "10000", 1, 1e12, NULL, SCOPE_NETWORK,
     "longest period of the time embedding's cosines, over 2 pi"},
};

const OptionTable network_options = {"network", specs, sizeof specs / sizeof *specs};

static PetscErrorCode check_data(const NetworkShape *shape)
{
  PetscFunctionBeginUser;
  PetscCheck(shape->ny > 0 && shape->nx > 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "a map of %d,%d pixels (y,x); each side must have at least 1", (int)shape->ny, (int)shape->nx);
  PetscCheck(shape->bins > 0 && shape->observation_channels > 0 && shape->parameters > 0, PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG, "%d bins, %d observation channels, %d parameters; there must be at least 1 of each",
             (int)shape->bins, (int)shape->observation_channels, (int)shape->parameters);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_patch(const char *name, PetscInt patch, const NetworkShape *shape)
{
  const PetscInt side = PetscMin(shape->ny, shape->nx);

  PetscFunctionBeginUser;
  PetscCheck(patch >= 1 && patch <= side, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%s is %d; it must lie in [1, %d], the shorter side of the map", name, (int)patch, (int)side);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_heads(const NetworkConfig *config)
{
  PetscFunctionBeginUser;
  PetscCheck(config->heads >= 1 && config->width >= 4, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "network_heads is %d and network_width %d; they must be at least 1 and 4", (int)config->heads,
             (int)config->width);
  PetscCheck(config->width % (4 * config->heads) == 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "network_width is %d; it must be a multiple of 4 network_heads = %d, so that rotary positions have pairs "
             "for rows and columns",
             (int)config->width, 4 * (int)config->heads);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_numbers(const NetworkConfig *config)
{
  PetscFunctionBeginUser;
  PetscCheck(config->time_frequencies >= 2 && config->time_frequencies % 2 == 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "network_time_frequencies is %d; it must be even, half cosines and half sines",
             (int)config->time_frequencies);
  PetscCheck(config->depth >= 1 && config->cosmology_tokens >= 1 && config->bottleneck >= 1, PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG,
             "network_depth, _cosmology_tokens and _bottleneck are %d, %d and %d; each must be at least 1",
             (int)config->depth, (int)config->cosmology_tokens, (int)config->bottleneck);
  PetscCheck(config->dropout >= 0 && config->dropout < 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "network_dropout is %.6g; it must lie in [0, 1)", config->dropout);
  PetscCheck(config->rms_epsilon > 0 && config->time_floor > 0 && config->time_floor <= 1, PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG,
             "network_rms_epsilon is %.6g and network_time_floor %.6g; they must be positive, the floor at most 1",
             config->rms_epsilon, config->time_floor);
  PetscCheck(config->rope_base >= 1 && config->time_max_period >= 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "network_rope_base is %.6g and network_time_max_period %.6g; they must be at least 1", config->rope_base,
             config->time_max_period);
  PetscFunctionReturn(PETSC_SUCCESS);
}

BlockRange network_dropout_blocks(const NetworkConfig *config)
{
  const PetscInt quarter = config->depth / 4, first = config->dropout_first, last = config->dropout_last;

  return (BlockRange){first < 0 ? quarter : first, last < 0 ? 3 * quarter : last + 1};
}

/* A network of fewer than four blocks has no middle half, and drops nothing unless told both ends. */
static PetscErrorCode check_dropout(const NetworkConfig *config)
{
  const BlockRange blocks = network_dropout_blocks(config);
  const PetscBool asked = config->dropout_first >= 0 || config->dropout_last >= 0 ? PETSC_TRUE : PETSC_FALSE;

  PetscFunctionBeginUser;
  PetscCheck(blocks.end <= config->depth, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "network_dropout_last is %d; it must lie in [0, %d], network_depth being %d", (int)config->dropout_last,
             (int)config->depth - 1, (int)config->depth);
  PetscCheck(
      !asked || blocks.begin < blocks.end, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
      "network_dropout_first is %d and network_dropout_last %d, of %d blocks; the first must not lie after the last",
      (int)blocks.begin, (int)blocks.end - 1, (int)config->depth);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_summaries(const NetworkShape *shape)
{
  const NetworkConfig *config = &shape->config;
  const PetscInt most = NEPHRITE_MAX_SUMMARIES / (shape->bins * (shape->bins + 1) / 2);

  PetscFunctionBeginUser;
  PetscCheck(config->spectra >= 0 && config->spectra <= most, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "network_spectra is %d; with %d bins it must lie in [0, %d]", (int)config->spectra, (int)shape->bins,
             (int)most);
  PetscCheck(config->one_point >= 0 && ONE_POINT_SCALES * config->one_point <= most - config->spectra, PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG, "network_one_point is %d; with %d bins and network_spectra %d it must lie in [0, %d]",
             (int)config->one_point, (int)shape->bins, (int)config->spectra,
             (int)((most - config->spectra) / ONE_POINT_SCALES));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode network_shape_check(const NetworkShape *shape)
{
  const NetworkConfig *config = &shape->config;

  PetscFunctionBeginUser;
  PetscCall(check_data(shape));
  PetscCall(check_heads(config));
  PetscCall(check_numbers(config));
  PetscCall(check_dropout(config));
  PetscCall(check_summaries(shape));
  PetscCall(check_patch("network_patch", config->patch, shape));
  if (config->conditioning == CONDITIONING_CHANNELS) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(check_patch("network_observation_patch", config->observation_patch, shape));
  PetscCheck(config->observation_start >= 0 && config->observation_start < config->depth, PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG, "network_observation_start is %d; it must lie in [0, %d], network_depth being %d",
             (int)config->observation_start, (int)config->depth - 1, (int)config->depth);
  PetscFunctionReturn(PETSC_SUCCESS);
}
