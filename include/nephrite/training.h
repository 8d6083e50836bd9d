/** \file training.h
 * Objective, optimiser, gradient reduction, averaged weights, checkpoints and the loop.  \defgroup training Training
 */
#ifndef NEPHRITE_TRAINING_H
#define NEPHRITE_TRAINING_H

#include "nephrite/campaign.h"
#include "nephrite/network.h"

typedef enum { SOURCE_SHARDS, SOURCE_ONLINE } TrainSource;
typedef enum { PRECISION_FLOAT32, PRECISION_BFLOAT16 } TrainPrecision;
typedef enum { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE } TrainSchedule;

/** The `train` section of a campaign file. */
typedef struct {
  int64_t steps;
  PetscInt batch; /**< global: all ranks together */
  PetscInt micro_batch; /**< samples a rank holds at once (gradient accumulation) */
  double learning_rate, final_learning_rate;
  int64_t warmup; /**< steps of linear warm-up */
  int schedule; /**< ::TrainSchedule */
  double beta1, beta2, epsilon, weight_decay, clip, ema_decay;
  double time_mean, time_scale; /**< mu and sigma of the logit-normal times */
  double theta_weight; /**< factor on the parameters' part of the loss; 1 as published */
  double mean_weight; /**< factor on the mean's share of a map's squared error in the loss; 1 as published */
  int source; /**< ::TrainSource */
  PetscInt simulation_ranks; /**< ranks that simulate for the others instead of training */
  int64_t held_out; /**< realisations kept for validation: the last ones of the campaign */
  int64_t validate_every, checkpoint_every;
  int64_t patience; /**< validations without a better one after which training ends; 0 for never */
  int64_t validations; /**< held-out realisations used in a validation, at most */
  PetscInt keep; /**< newest checkpoints kept, beside the best */
  PetscBool shard_optimizer; /**< a rank keeps moments and averages of its part of the parameters only */
  int precision; /**< ::TrainPrecision of the factors of the blocks' matrix products */
  PetscBool recompute; /**< activations again in backward instead of keeping them */
  PetscBool freeze_position;
  char start_from[OPTION_TEXT_SIZE]; /**< checkpoint, campaign or file of weights to start with, or "" */
} TrainConfig;
extern const OptionTable train_options;
/** What ranges alone cannot say.  Errors: NEPHRITE_ERR_CONFIG: warm-up as long as the training, nothing left to train
 * on. */
PetscErrorCode train_config_check(const TrainConfig *train, const SimulateConfig *simulate);

/** Bands of wavenumber of the covariances of ::Guess, beside which is that of the means. */
enum { GUESS_BANDS = 14, NEPHRITE_MAX_GUESSES = (GUESS_BANDS + 1) * NEPHRITE_MAX_BINS * (2 * NEPHRITE_MAX_BINS + 1) };
/** Covariances of maps and observed data of all bins in all bands, where the network's output needs them. */
static inline PetscInt guess_count(const NetworkShape *shape)
{
  return shape->config.output == OUTPUT_WIENER ? (GUESS_BANDS + 1) * shape->bins * (2 * shape->bins + 1) : 0;
}
/** Sizes of what the power of maps follows the parameters by. */
enum {
  RESPONSE_ORDERS = 3, /**< of the polynomial in wavenumber of each feature */
  RESPONSE_MAX_FEATURES =
      NEPHRITE_MAX_PARAMETERS + NEPHRITE_WCDM_PARAMETERS * (NEPHRITE_WCDM_PARAMETERS + 1) / 2, /**< and products */
  NEPHRITE_MAX_RESPONSES = NEPHRITE_MAX_BINS * (GUESS_BANDS + 1 + RESPONSE_ORDERS * RESPONSE_MAX_FEATURES)
};
/** Numbers by which it does, where the network's output needs it and parameters are known; 0 elsewhere. */
PetscInt guess_response_count(const NetworkShape *shape);
/** Statistics that normalise data for the network; part of every checkpoint. */
typedef struct {
  PetscInt bins, parameters;
  double map_std[NEPHRITE_MAX_BINS];
  double theta_low[NEPHRITE_MAX_PARAMETERS], theta_high[NEPHRITE_MAX_PARAMETERS]; /**< equal: without bounds */
  double theta_mean[NEPHRITE_MAX_PARAMETERS], theta_std[NEPHRITE_MAX_PARAMETERS];
  PetscInt guesses; /**< guess_count() */
  double guess[NEPHRITE_MAX_GUESSES]; /**< [bands][pairs] covariances of ::Guess, of maps and channels as normalised */
  PetscInt responses; /**< guess_response_count() */
  double response[NEPHRITE_MAX_RESPONSES]; /**< [bins], network.md, section 4 */
  PetscInt one_points; /**< network_one_point_count() */
  double one_point_unit[NEPHRITE_MAX_SUMMARIES]; /**< of the values whose distribution is told: standard deviations */
  PetscInt summaries; /**< network_summary_count() */
  double summary_mean[NEPHRITE_MAX_SUMMARIES], summary_std[NEPHRITE_MAX_SUMMARIES]; /**< of what is told */
} Normalisation;

/** Parameters as the network has them, (y - mean)/std: y is the parameter itself, or with bounds the standard normal
 * below which there is as much as of the interval below the parameter, so that no answer of the network lies outside.
 * \param theta [parameters]  \param[out] z [parameters]
 * Errors: NEPHRITE_ERR_INPUT: a parameter outside of its bounds, which are those of another prior then. */
PetscErrorCode normalise_parameters(const Normalisation *normalisation, const double *theta, Scalar *z);
/** And back.  \param z [parameters]  \param[out] theta [parameters] */
void restore_parameters(const Normalisation *normalisation, const Scalar *z, double *theta);

/** What the network is told of an observation, in its own units.  Work space for one thread; create from one thread at
 * a time (FFTW's planner). */
typedef struct Conditioner Conditioner;
/** \param normalisation  copied; of the shape's sizes */
PetscErrorCode conditioner_create(const NetworkShape *shape, const Normalisation *normalisation,
                                  Conditioner **conditioner);
/** Channels of data, each made of bin c modulo the number of bins, are divided by the standard deviation of the
 * convergence of that bin; a mask or weights stay as they are.
 * \param channels [observation_channels][ny][nx] of observer_present()
 * \param[out] observation [observation_channels][ny][nx]
 * \param[out] summaries [network_summary_count()] band powers and one-point distributions of the first channels, one of
 * each bin, less their mean and by their standard deviation over training */
void conditioner_apply(Conditioner *conditioner, const float *channels, Scalar *observation, Scalar *summaries);
PetscErrorCode conditioner_destroy(Conditioner **conditioner);

/** The best linear guess of a map from its noisy version and the observation together, which with ::OUTPUT_WIENER the
 * network is shown beside that, with its products, and its answer completes (network.md, section 4).  Everything as
 * normalised.  Its calls use as many OpenMP threads as there were at its creation. */
typedef struct Guess Guess;
/** \param batch  samples at most  \param[out] guess  NULL for another output, with which the calls below do nothing
 * Errors: NEPHRITE_ERR_INTERNAL: no memory. */
PetscErrorCode guess_create(const NetworkShape *shape, const Normalisation *normalisation, PetscInt batch,
                            Guess **guess);
/** Memory for maps of so many samples; 0 for another output. */
double guess_bytes(const NetworkShape *shape, PetscInt batch);
/** Take up what was observed of each sample, and what its parameters are, where they are known.
 * \param observation [batch][observation_channels][ny][nx]; must stay until the next guess_observe()
 * \param theta [batch][parameters]  \param t_theta [batch] known where 1; both are of no matter, and may be NULL, where
 * guess_response_count() is 0 */
void guess_observe(Guess *guess, PetscInt batch, const Scalar *observation, const Scalar *theta, const Scalar *t_theta);
/** \param t [batch]  \param z [batch][bins][ny][nx]
 * \return [batch][network_map_channels()][ny][nx], for network_forward(), of \p guess; with another output z itself */
const Scalar *guess_maps(Guess *guess, const Scalar *t, const Scalar *z);
/** \param t [batch] as of guess_maps()  \param[in,out] x [batch][bins][ny][nx] of network_forward(); x̂ */
void guess_complete(Guess *guess, const Scalar *t, Scalar *x);
/** \param[in,out] x_bar [batch][bins][ny][nx] d(loss)/d(x̂); for network_backward() */
void guess_pull_back(Guess *guess, const Scalar *t, Scalar *x_bar);
PetscErrorCode guess_destroy(Guess **guess);

/** AdamW with clipping over all parameters, and the exponential average of the weights (network.md, section 8). */
typedef struct Optimizer Optimizer;
typedef struct {
  double beta1, beta2, epsilon, weight_decay, clip, ema_decay;
} OptimizerConfig;
/** \param weights [count] the average starts as these; copied
 * \param[out] optimizer  owned by the caller; give it back with optimizer_destroy() */
PetscErrorCode optimizer_create(const OptimizerConfig *config, size_t count, const Scalar *weights,
                                Optimizer **optimizer);
/** Leave weights [offset, offset + count) out of every step and of the norm.  One range; the last call holds. */
PetscErrorCode optimizer_freeze(Optimizer *optimizer, size_t offset, size_t count);
/** One step.  Not collective: every rank makes the same step with the reduced gradient.
 * \param step 1, 2, …  \param[in,out] weights [count]  \param gradient [count], not clipped
 * \param[out] norm of the gradient before clipping
 * Errors: NEPHRITE_ERR_INTERNAL if the norm is not finite; nothing is changed then. */
PetscErrorCode optimizer_step(Optimizer *optimizer, int64_t step, double learning_rate, Scalar *weights,
                              const Scalar *gradient, double *norm);
/** The norm of the gradient is summed over pieces of all parameters, which are cut alike whoever holds them: it is the
 * same bit for bit however parameters are shared among ranks. */
enum { NORM_PIECES = 4096 };
/** Where piece 0 … NORM_PIECES of \p total parameters begins; the last one is their end. */
size_t norm_piece_begin(size_t total, int piece);
/** The two halves of a step, for an optimiser that has some pieces of the parameters only: first the squares of its
 * pieces of the gradient, then, with the norm of all, the update.  Parameters as of optimizer_step().
 * \param first  the optimiser's first parameter, of \p total; it begins and ends with a piece
 * \param[out] squares  of each piece; 0 for those of others, so that they can be summed over ranks */
void optimizer_squares(const Optimizer *optimizer, size_t first, size_t total, const Scalar *gradient,
                       double squares[NORM_PIECES]);
double optimizer_norm(const double squares[NORM_PIECES]); /**< of all pieces */
PetscErrorCode optimizer_apply(Optimizer *optimizer, int64_t step, double learning_rate, double norm, Scalar *weights,
                               const Scalar *gradient);
Scalar *optimizer_ema(Optimizer *optimizer); /**< [count] averaged weights */
Scalar *optimizer_m(Optimizer *optimizer); /**< [count] mean of gradients, not corrected for its start at 0 */
Scalar *optimizer_v(Optimizer *optimizer); /**< [count] mean of squared gradients, likewise */
PetscErrorCode optimizer_destroy(Optimizer **optimizer);

/** The flow-matching loss and where it starts backward (network.md, section 6). */
typedef struct {
  double total; /**< sum over samples of the loss of a sample */
  double field, theta; /**< sums over samples of its two parts, each a mean over its terms and not weighted */
} Loss;

/** Clean data, as normalised, and the network's answer. */
typedef struct {
  PetscInt batch; /**< samples at hand */
  PetscInt global_batch; /**< samples of the whole step, which the gradient is divided by */
  const Scalar *x; /* [batch][bins][ny][nx] */
  const Scalar *theta; /* [batch][parameters] */
  const Scalar *t, *t_theta; /* [batch], as of ::NetworkInput */
  const Scalar *x_hat; /* [batch][bins][ny][nx] */
  const Scalar *theta_hat; /* [batch][parameters] */
} ObjectiveBatch;

/** What counts more than in the published loss, where both are 1. */
typedef struct {
  double theta; /**< factor on the parameters' part */
  double mean; /**< factor on the share that a map's mean, per bin, has in its squared error */
} ObjectiveWeights;
static inline ObjectiveWeights objective_weights(const TrainConfig *train)
{
  return (ObjectiveWeights){train->theta_weight, train->mean_weight};
}

/** \param[out] x_bar, theta_bar  d(mean loss of the step)/d(x_hat, theta_hat), may be NULL
 * Errors: NEPHRITE_ERR_INTERNAL if the loss of a sample is not finite. */
PetscErrorCode objective_loss(const NetworkShape *shape, ObjectiveWeights weights, const ObjectiveBatch *batch,
                              Loss *loss, Scalar *x_bar, Scalar *theta_bar);
/** z = t clean + (1 - t) noise.  \param clean, noise, z [count] */
void objective_mix(size_t count, Scalar t, const Scalar *clean, const Scalar *noise, Scalar *z);
/** The logit-normal time of a standard normal: sigmoid((normal + mean) scale). */
double objective_time(double mean, double scale, double normal);
/** Times of the map and of the parameters, of which one is \p time.  With ::FLOW_PARAMETERS_FIRST samples of even index
 * are on the way to parameters, with nothing known of the map yet, and those of odd index on the way to a map of known
 * parameters: in the loss each part counts where it is on its way, and twice, being so in half of the samples. */
void objective_times(NetworkFlow flow, uint64_t index, double time, Scalar *t, Scalar *t_theta);

/** A trained model for inference: shape, normalisation and averaged weights, from a checkpoint or a file of weights
 * (doc/manual.md, "Weights for other programs"), in which what is not about the network itself may be missing. */
typedef struct {
  char *path; /**< of the file */
  NetworkShape shape;
  Normalisation normalisation;
  int64_t step; /**< 0 if not known */
  int64_t position; /**< samples it was trained on; 0 if not known */
  int64_t trained; /**< realisations 0 … trained-1 of its campaign may have been trained on; the others were held out */
  char *configuration; /**< YAML of the run that made it; of the architecture alone if that is not known */
  char *parameter_names; /**< of the columns of theta, joined by commas; NULL if the file does not name them */
  Scalar *weights; /**< [network_parameter_count()] averaged weights, in order of ::NetworkTensor */
  size_t weight_count;
} Model;
/** Load a model.  Not collective.
 * \param path  a checkpoint, a file of weights, or a campaign directory: its best sound checkpoint, by the parameter
 * part of the validation loss, else the newest sound one
 * \param[out] model  owned by the caller; give it back with model_destroy()
 * Errors: NEPHRITE_ERR_INPUT: none of these, damaged, or in a file of weights a tensor or attribute that is missing,
 * unknown or cannot be, by its name. */
PetscErrorCode model_load(const char *path, Model **model);
/** Are the columns of theta, where the model names them, those of this prior?  \param path  for the message
 * Errors: NEPHRITE_ERR_INPUT with both. */
PetscErrorCode model_check_parameters(const Model *model, const Prior *prior, const char *path);
PetscErrorCode model_destroy(Model **model);

/** What training needs to know; all borrowed. */
typedef struct {
  const Options *options;
  const CampaignConfig *campaign;
  const SurveyConfig *survey;
  const Prior *prior;
  const SimulateConfig *simulate;
  const NetworkConfig *network;
  const TrainConfig *train;
} TrainingSetup;

/** The architecture that the configuration asks for.  Errors: NEPHRITE_ERR_CONFIG, as network_shape_check(). */
PetscErrorCode training_shape(const TrainingSetup *setup, NetworkShape *shape);
/** What a training takes. */
typedef struct {
  NetworkEstimate network; /**< of a rank, at its micro-batch */
  int trainers; /**< ranks that train; the others simulate for them */
  PetscInt micro_batch; /**< samples a rank has in memory at once */
  double optimizer_bytes, batch_bytes; /**< per rank, beside the network */
  double step_flops; /**< of all ranks, forward and backward */
  double checkpoint_bytes; /**< of one at the end of the training */
} TrainingEstimate;
/** \param ranks  that would share the work
 * Errors: as training_shape(), and as training_run() for train_precision; none of the ranks is left to train */
PetscErrorCode training_estimate(const TrainingSetup *setup, int ranks, TrainingEstimate *estimate);

/** Train to the end, from the newest sound checkpoint if there is one.  Collective on \p comm.
 *
 * With train_simulation_ranks so many of the ranks make the maps of the others, who train as if they were alone.
 * Sample b of a step that begins at position n of the training sequence is item n + b of the source, whatever the
 * number of ranks; a rank takes a contiguous part of the batch.  The learning rate of a step depends on the step and on
 * train_steps alone.  Training is complete after train_steps, or after train_patience validations without a better one.
 * Errors: NEPHRITE_ERR_CONFIG if any rank cannot compute in train_precision; NEPHRITE_ERR_INTERRUPTED after a signal,
 * with a checkpoint written; NEPHRITE_ERR_INTERNAL if a loss, gradient or weight is not finite, naming step, tensor and
 * last checkpoint; NEPHRITE_ERR_INPUT if checkpoints are damaged or of another configuration; NEPHRITE_ERR_IO. */
PetscErrorCode training_run(MPI_Comm comm, const TrainingSetup *setup);

/** What it takes to sum a vector over ranks; the slowest rank's time, the fastest of some repetitions. */
typedef struct {
  double message_seconds; /**< by one nonblocking sum in place, as of a bucket */
  double buckets_seconds; /**< as a gradient is summed: bucket after bucket, all under way at once */
  double gather_seconds; /**< every rank's part to all others, as of weights with a shared optimiser */
} ReductionTimes;
/** Time sums over ranks by the very calls that training makes.  Collective.
 * \param bytes  of the vector, float32 in the programs: at least 4, at most 4 GiB  \param repeats  at least 1
 * Errors: NEPHRITE_ERR_CONFIG if there are no such vectors. */
PetscErrorCode reduction_measure(MPI_Comm comm, int64_t bytes, PetscInt repeats, ReductionTimes *times);
/** Bytes that a bucket of a gradient has; its last one has less. */
int64_t reduction_bucket_bytes(void);

#endif
