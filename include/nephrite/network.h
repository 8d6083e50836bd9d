/** \file network.h
 * The conditional diffusion transformer, forward and backward by hand, in the notation of doc/network.md.
 * \defgroup network Network
 */
#ifndef NEPHRITE_NETWORK_H
#define NEPHRITE_NETWORK_H

#include "nephrite/lensing.h"

/** The network's arithmetic: float in production, double in the build that tests hold to finite differences. */
#ifdef NEPHRITE_FLOAT64
typedef double Scalar;
#define NEPHRITE_H5_SCALAR H5T_NATIVE_DOUBLE
#define NEPHRITE_MPI_SCALAR MPI_DOUBLE
#else
typedef float Scalar;
#define NEPHRITE_H5_SCALAR H5T_NATIVE_FLOAT
#define NEPHRITE_MPI_SCALAR MPI_FLOAT
#endif

typedef enum { CONDITIONING_TOKENS, CONDITIONING_CHANNELS } Conditioning;
/** What the heads say: the clean data, or what is left of them by the best linear guess from the noisy data alone; with
 * OUTPUT_WIENER that of maps is from the observation, too, and made and completed outside of the network (::Guess of
 * training), which is shown it, and its products, beside the noisy map.
 */
typedef enum { OUTPUT_CLEAN, OUTPUT_RESIDUAL, OUTPUT_WIENER } NetworkOutput;
/** How noise becomes map and parameters: both in one flow, or first the parameters and then, given these, the map. */
typedef enum { FLOW_JOINT, FLOW_PARAMETERS_FIRST } NetworkFlow;

/** The `network` section of a campaign file. */
typedef struct {
  PetscInt depth, width, heads, patch, observation_patch, observation_start, cosmology_tokens, bottleneck;
  PetscInt time_frequencies;
  PetscInt spectra; /**< band powers of each pair of bins of the observation that cosmology tokens are told; 0: none */
  PetscInt one_point; /**< intervals of each one-point distribution that they are told; 0: none */
  PetscInt dropout_first, dropout_last; /**< blocks with dropout; -1: those of the middle half */
  int conditioning; /**< ::Conditioning */
  int output; /**< ::NetworkOutput */
  int flow; /**< ::NetworkFlow */
  double rms_epsilon, time_floor, rope_base, time_max_period, dropout;
} NetworkConfig;
extern const OptionTable network_options;

/** The architecture together with the shape of its data.  It determines every tensor. */
typedef struct {
  PetscInt ny, nx, bins, observation_channels, parameters;
  NetworkConfig config;
} NetworkShape;
/** One-point distributions that cosmology tokens are told: of each pair of bins at each scale. */
static inline PetscInt network_one_point_count(const NetworkShape *shape)
{
  return shape->config.one_point ? shape->bins * (shape->bins + 1) / 2 * ONE_POINT_SCALES : 0;
}
/** All numbers that they are told: `spectra` of each pair of bins, and `one_point` of each distribution. */
static inline PetscInt network_summary_count(const NetworkShape *shape)
{
  return shape->bins * (shape->bins + 1) / 2 * shape->config.spectra +
         network_one_point_count(shape) * shape->config.one_point;
}
/** Most of them. */
enum { NEPHRITE_MAX_SUMMARIES = 1024 };
/** Kinds of maps, one of each bin, that a network with ::OUTPUT_WIENER is shown beside the observation. */
typedef enum { SHOWN_NOISY, SHOWN_GUESS, SHOWN_SQUARE, SHOWN_BY_NOISY, SHOWN_BY_OBSERVATION, SHOWN_KINDS } ShownKind;
/** Maps that a network is shown of a sample beside the observation. */
static inline PetscInt network_map_channels(const NetworkShape *shape)
{
  return shape->config.output == OUTPUT_WIENER ? SHOWN_KINDS * shape->bins : shape->bins;
}
/** Can there be such a network?
 * Errors: NEPHRITE_ERR_CONFIG, naming the option: a patch larger than the map, heads that do not divide the width, … */
PetscErrorCode network_shape_check(const NetworkShape *shape);

/** One parameter tensor: its name, shape and place in the flat vector of all parameters. */
typedef struct {
  char name[96];
  int rank;
  PetscInt shape[2];
  size_t offset, size;
} NetworkTensor;

/** NETWORK_RECOMPUTING trains like NETWORK_TRAINING, bit for bit, in less memory: of each block only the input is kept,
 * and backward runs the block forward again.  NETWORK_BFLOAT16 may be added to either: factors of the products of the
 * blocks' linear maps are rounded to bfloat16; sums, weights, gradients and everything else stay as they are. */
typedef enum { NETWORK_INFERENCE, NETWORK_TRAINING, NETWORK_RECOMPUTING, NETWORK_BFLOAT16 = 1 << 8 } NetworkMode;
/** Can this build compute so, and this processor?  Not collective.
 * Errors: NEPHRITE_ERR_CONFIG: NETWORK_BFLOAT16 without oneDNN, in float64, or without instructions for it. */
PetscErrorCode network_mode_check(NetworkMode mode);

typedef struct Network Network;

/** Lay out parameters and arena for batches of at most \p batch samples; weights are zero until initialised or copied
 * in. Its calls use as many OpenMP threads as there are now; results do not depend on their number.  Not collective.
 * \param mode  all but NETWORK_INFERENCE also hold gradients and what backward needs
 * \param[out] network  owned by the caller; give it back with network_destroy()
 * Errors: NEPHRITE_ERR_CONFIG: as network_shape_check() and network_mode_check(), or more memory than there is. */
PetscErrorCode network_create(const NetworkShape *shape, PetscInt batch, NetworkMode mode, Network **network);
PetscErrorCode network_destroy(Network **network);
/** What a network takes, found out without making it. */
typedef struct {
  size_t parameters;
  PetscInt tensors;
  size_t arena_bytes; /**< all its memory, parameters included */
  double forward_flops; /**< per sample */
} NetworkEstimate;
/** \param shape, batch, mode  as for network_create() */
PetscErrorCode network_estimate(const NetworkShape *shape, PetscInt batch, NetworkMode mode, NetworkEstimate *estimate);

const NetworkShape *network_shape(const Network *network);
size_t network_parameter_count(const Network *network);
PetscInt network_tensor_count(const Network *network);
const NetworkTensor *network_tensor(const Network *network, PetscInt tensor);
size_t network_arena_bytes(const Network *network); /**< all memory of this network */
double network_forward_flops(const Network *network); /**< per sample; a training sample costs three times that */
Scalar *network_weights(Network *network); /**< [network_parameter_count()], tensors in order of ::NetworkTensor */
/** [network_parameter_count()] in the same order; NULL in NETWORK_INFERENCE.  After network_zero_gradient() the numbers
 * are not there before this call or the next network_backward(). */
Scalar *network_gradient(Network *network);
/** Starting values, each tensor with its own random numbers (doc/network.md, section 5). */
PetscErrorCode network_initialise(Network *network, int64_t seed);

/** What the time of forward and backward is spent on. */
typedef enum {
  NETWORK_LINEAR, /**< packing weights and multiplying by them, forward and backward */
  NETWORK_ATTENTION,
  NETWORK_GRADIENT, /**< of the weights of linear maps */
  NETWORK_ROWS, /**< norms, gates, SwiGLU and their like */
  NETWORK_WAITING, /**< for other threads */
  NETWORK_ENDS, /**< embeddings, heads, modulation */
  NETWORK_PARTS
} NetworkPart;
const char *network_part_name(NetworkPart part);
/** Seconds that the first thread has spent on a part in all calls so far. */
double network_part_seconds(const Network *network, NetworkPart part);

/** What goes in, normalised; maps are [batch][channel][ny][nx]. */
typedef struct {
  PetscInt batch;
  const Scalar *z; /* [batch][network_map_channels()][ny][nx] noisy maps or, with ::OUTPUT_WIENER, all of each
                    * ::ShownKind in turn */
  const Scalar *z_theta; /* [batch][parameters] */
  const Scalar
      *observation; /* [batch][observation_channels][ny][nx]; NULL: that of the last call, of as many samples */
  const Scalar *summaries; /* [batch][network_summary_count()] of the observation, and given with it */
  const Scalar *t; /* [batch] of the map, and of the parameters where these have no time of their own */
  const Scalar *t_theta; /* [batch] of the parameters; NULL: t.  The time that is embedded is the mean of both */
  const uint64_t *dropout; /* [batch] random index of each sample, for the dropout stream; NULL: no dropout */
  int64_t seed; /* of the dropout stream */
} NetworkInput;

/** x̂ and θ̂; with ::OUTPUT_WIENER, in the place of x̂, what completes it.  At inference times that are equal in the whole
 * batch are dealt with once.
 * \param[out] x [batch][bins][ny][nx]  \param[out] theta [batch][parameters]
 * Errors: NEPHRITE_ERR_INTERNAL: a batch that does not fit, no observation for it yet, dropout at inference. */
PetscErrorCode network_forward(Network *network, const NetworkInput *input, Scalar *x, Scalar *theta);

/** Called during backward as soon as gradient[offset, offset + count) is final, in order of decreasing offset; ranges
 * cover everything exactly once.  Lets the reduction overlap with the computation. */
typedef PetscErrorCode (*GradientReady)(void *context, size_t offset, size_t count);

/** Gradients of the inputs, where wanted (any may be NULL). */
typedef struct {
  Scalar *z, *z_theta, *observation;
  Scalar *t; /**< by the time that is embedded */
} NetworkInputGradient;

/** Add the gradient of the last forward's loss to network_gradient().
 * \param x_bar, theta_bar  ∂loss/∂x̂ and ∂loss/∂θ̂  \param ready may be NULL  \param context of \p ready
 * \param[out] input_gradient  overwritten, not added to; may be NULL
 * Errors: NEPHRITE_ERR_INTERNAL without a forward pass in training; whatever \p ready returns. */
PetscErrorCode network_backward(Network *network, const Scalar *x_bar, const Scalar *theta_bar, GradientReady ready,
                                void *context, const NetworkInputGradient *input_gradient);
/** Let the gradient be zero; what backward overwrites all the same is not written for it. */
PetscErrorCode network_zero_gradient(Network *network);

/** Activations by the names of the reference file ("time", "tokens", "observation_tokens", "block.0", …), copied out
 * for checks.  Not in NETWORK_INFERENCE.  \param[out] values may be NULL to learn the count */
PetscErrorCode network_activation(const Network *network, const char *name, size_t *count, Scalar *values);

#endif
