/** \file internal.h  What the parts of training share: schedule, reduction, batches, history, checkpoints.
 * \ingroup training */
#ifndef NEPHRITE_TRAINING_INTERNAL_H
#define NEPHRITE_TRAINING_INTERNAL_H

#include "nephrite/training.h"

/* ------------------------------------------------------------------ schedule */

/** Learning rate of step 1 … train->steps: a rise over the warm-up, then from the first value to the final one. */
double schedule_learning_rate(const TrainConfig *train, int64_t step);

/* ------------------------------------------------------------------ reduction */

/** Sums a vector over ranks in buckets, each started as soon as it is final on this rank, so that the communication
 * overlaps with the rest of backward.  Buckets have fixed boundaries, so that on as many ranks sums are the same bits.
 */
typedef struct Reducer Reducer;
/** \param values [count] borrowed for the life of the reducer; holds the sum after reducer_finish() */
PetscErrorCode reducer_create(MPI_Comm comm, size_t count, Scalar *values, Reducer **reducer);
/** A ::GradientReady: values[offset, …) are final.  \param reducer a Reducer */
PetscErrorCode reducer_ready(void *reducer, size_t offset, size_t count);
/** Something to do while sums are under way, a piece at a time.  \param[out] more  is there more to do? */
typedef PetscErrorCode (*SpareTime)(void *context, PetscBool *more);
/** Start what has not been started and wait for everything; then ready for the next step.  Collective.
 * \param spare  called while there is waiting to do; may be NULL  \param context  of \p spare */
PetscErrorCode reducer_finish(Reducer *reducer, SpareTime spare, void *context);
PetscErrorCode reducer_destroy(Reducer **reducer);

/* ------------------------------------------------------------------ ranks */

/** What the ranks of a run do: most train; some may simulate for them. */
typedef struct {
  PetscBool trains; /**< else this rank simulates */
  MPI_Comm comm; /**< the ranks that train; MPI_COMM_NULL on the others */
  MPI_Comm others; /**< intercommunicator between the two kinds; MPI_COMM_NULL if all train */
} Roles;
/** Spread the simulating ranks evenly, so that every node has its part of them; rank 0 trains.  Collective.
 * Errors: NEPHRITE_ERR_CONFIG if no rank is left to train. */
PetscErrorCode roles_create(MPI_Comm world, PetscInt simulation_ranks, Roles *roles);
PetscErrorCode roles_destroy(Roles *roles);
/** Ranks that train, of \p ranks in all.  Errors: as roles_create(). */
PetscErrorCode roles_count(PetscInt simulation_ranks, int ranks, int *trainers);

/** This rank's part of \p total things: contiguous, in rank order, sizes differing by at most one. */
void share_of(MPI_Comm comm, int64_t total, int64_t *first, int64_t *count);
void share_of_rank(int rank, int size, int64_t total, int64_t *first, int64_t *count);

/* ------------------------------------------------------------------ batches */

/* Random numbers of a training sample are keyed by its position in the training sequence, those of a validation sample
 * by its realisation.  The two upper bits keep both apart from each other and from every other use of a stream by the
 * index of a realisation, observation or draw, all of which are below 2^62. */
#define TRAINING_KEY ((uint64_t)1 << 63)
#define VALIDATION_KEY ((uint64_t)1 << 62)
/* Online training simulates realisations from here on: beyond any campaign that is kept on disk. */
#define ONLINE_FIRST ((int64_t)1 << 40)

/** Makes observations of maps and presents them.  For one thread; create from one thread at a time. */
typedef struct Exposure Exposure;
/** Errors: as observer_create(). */
PetscErrorCode exposure_create(const SurveyConfig *survey, Exposure **exposure);
PetscInt exposure_channels(const Exposure *exposure);
/** \param noise  as for observer_observe()  \param kappa [bins][ny][nx]
 * \param[out] channels [exposure_channels()][ny][nx], not normalised; borrowed until the next call */
PetscErrorCode exposure_take(Exposure *exposure, RandomKey noise, const float *kappa, const float **channels);
PetscErrorCode exposure_destroy(Exposure **exposure);

/** Band powers of an observation as they are told the network, before they are normalised.
 * \param[out] bands  owned by the caller; NULL if it is told none */
/** The numbers that are told of an observation.  Work space for one thread; create from one thread at a time. */
typedef struct Summaries Summaries;
PetscErrorCode summaries_create(const NetworkShape *shape, Summaries **summaries);
/** \param channels  of which the first are the observed convergence or E modes of each bin
 * \param[out] variance [network_one_point_count()] of what one-point distributions are told of */
void summaries_variance(Summaries *summaries, const float *channels, double *variance);
/** \param one_point_unit [network_one_point_count()]
 * \param[out] values [network_summary_count()] band powers, then one-point distributions */
void summaries_of(Summaries *summaries, const float *channels, const double *one_point_unit, double *values);
PetscErrorCode summaries_destroy(Summaries **summaries);

/** Samples as the network and the objective take them, normalised. */
typedef struct {
  PetscInt count;
  Scalar *x, *z; /* [capacity][bins][ny][nx] clean, noisy */
  Scalar *theta, *z_theta; /* [capacity][parameters] clean, noisy */
  Scalar *observation; /* [capacity][observation_channels][ny][nx] */
  Scalar *summaries; /* [capacity][network_summary_count()] */
  Scalar *t, *t_theta; /* [capacity] of the map, of the parameters */
  uint64_t *dropout; /* [capacity] */
} Batch;

/** Makes batches: map from a source, flips, observation, noise, time. */
typedef struct Feed Feed;
/** \param capacity samples of a batch at most  \param normalisation copied */
PetscErrorCode feed_create(const NetworkShape *shape, const SurveyConfig *survey, const TrainConfig *train,
                           const Normalisation *normalisation, PetscInt capacity, Feed **feed);
/** Training samples at positions first … first + count-1.  \param[out] batch borrowed until the next call */
PetscErrorCode feed_training(Feed *feed, BatchSource *source, int64_t seed, int64_t first, PetscInt count,
                             const Batch **batch);
/** Validation samples: items first … first + count-1 of \p source, not flipped, with noise and time of their own. */
PetscErrorCode feed_validation(Feed *feed, BatchSource *source, int64_t seed, int64_t first, PetscInt count,
                               const Batch **batch);
PetscErrorCode feed_destroy(Feed **feed);

/** Covariances that ::Guess is made of.  Work space for one thread. */
typedef struct GuessSample GuessSample;
/** \param[out] sample  NULL where the output needs none, and the calls below do nothing */
PetscErrorCode guess_sample_create(const NetworkShape *shape, GuessSample **sample);
/** Of one map and what the network is shown of it, not normalised.
 * \param[out] covariance [guess_count()] of the map (0,0) … and channels, in the order of Normalisation::guess */
void guess_sample_of(GuessSample *sample, const float *kappa, const float *channels, double *covariance);
PetscErrorCode guess_sample_destroy(GuessSample **sample);

/** Realisations that the power of maps by parameters is taken from. */
typedef struct {
  int64_t rows;
  PetscInt parameters, bins, ny, nx;
  const double *theta; /* [rows][parameters], normalised */
  const double *power; /* [rows][GUESS_BANDS + 1][bins] of the maps, in any unit of a bin */
} ResponseSample;
/** \param[out] response [guess_response_count()].  Errors: NEPHRITE_ERR_INTERNAL: no memory. */
PetscErrorCode guess_response_fit(const ResponseSample *sample, double *response);
/** \param theta [parameters], normalised  \param[out] amplitude  by which modes are larger than in the mean over the
 * prior, root mean square */
void guess_response_at(const Normalisation *normalisation, const Scalar *theta,
                       double amplitude[GUESS_BANDS + 1][NEPHRITE_MAX_BINS]);

/** What statistics are taken of. */
typedef struct {
  BatchSource *source;
  int64_t count; /**< its first items */
  const SurveyConfig *survey; /**< observes them, where the network is told numbers of the observation */
  int64_t seed; /**< of its noise, which is that of the first training samples */
  const Prior *prior; /**< whose bounds the parameters keep */
} NormalisationSample;
/** Standard deviation of the maps per bin, mean and standard deviation of parameters and of the observations' band
 * powers.  Collective; the same bit for bit for any number of ranks.
 * Errors: NEPHRITE_ERR_INPUT if the maps of a bin are constant or not finite. */
PetscErrorCode normalisation_measure(MPI_Comm comm, const NetworkShape *shape, const NormalisationSample *sample,
                                     Normalisation *normalisation);

/* ------------------------------------------------------------------ history */

/** The course of training; kept by rank 0, part of every checkpoint. */
typedef struct {
  int64_t step;
  double loss, field, theta; /* means over the batch */
  double gradient_norm, learning_rate, samples_per_second, seconds;
  double compute_seconds, communication_seconds, data_seconds; /**< of rank 0, in the step */
  double checkpoint_seconds; /**< of the checkpoint between the step before and this one */
} StepRecord;
typedef struct {
  int64_t step;
  double loss, field, theta; /* means over the held-out realisations */
} ValidationRecord;
/** What a checkpoint has cost: known after it was written, so training.h5 alone has it. */
typedef struct {
  int64_t step, bytes;
  double seconds; /* until it was safe */
} CheckpointRecord;
typedef struct {
  int64_t steps, steps_capacity;
  StepRecord *step; /* [steps] */
  int64_t validations, validations_capacity;
  ValidationRecord *validation; /* [validations] */
  int64_t checkpoints, checkpoints_capacity;
  CheckpointRecord *checkpoint; /* [checkpoints] */
} History;
PetscErrorCode history_add_step(History *history, const StepRecord *record);
PetscErrorCode history_add_validation(History *history, const ValidationRecord *record);
PetscErrorCode history_add_checkpoint(History *history, const CheckpointRecord *record);
/** The validation with the least parameter part; NULL if there is none. */
const ValidationRecord *history_best(const History *history);
/** Validations after the best one that were made after step \p from. */
int64_t history_validations_since_best(const History *history, int64_t from);
/** Declare and write the columns of steps and validations under \p prefix ("" or "history/").  Collective on the
 * writer's ranks. */
PetscErrorCode history_write(const History *history, const char *prefix, ProductWriter *writer);
PetscErrorCode history_read(ProductReader *reader, const char *prefix, History *history);
/** The same of checkpoints, at the root. */
PetscErrorCode history_write_checkpoints(const History *history, ProductWriter *writer);
/** \param[in,out] history  that of its checkpoints is replaced by what was written of those up to step \p last */
PetscErrorCode history_read_checkpoints(ProductReader *reader, int64_t last, History *history);
PetscErrorCode history_clear(History *history);
#define HISTORY_KIND "history"
enum { HISTORY_VERSION = 2 }; /* 1 had neither `end` nor what checkpoints cost */

/* ------------------------------------------------------------------ architecture */

/** Attributes at the root that say what network a file is of.  Collective on the writer's ranks. */
PetscErrorCode architecture_write(ProductWriter *writer, const NetworkShape *shape);
/** \param path  of the file, for messages
 * Errors: NEPHRITE_ERR_INPUT, naming the attribute: missing, of another type, or out of its range. */
PetscErrorCode architecture_read(ProductReader *reader, const char *path, NetworkShape *shape);
/** The architecture as a configuration: the options of the `network` section that it decides, and nothing else.
 * \param[out] yaml  free with PetscFree() */
PetscErrorCode architecture_yaml(const NetworkShape *shape, char **yaml);

/* ------------------------------------------------------------------ weights of others */

#define WEIGHTS_KIND "weights"
enum { WEIGHTS_VERSION = 1 };

/** Is it a plain file of weights rather than a product?  Not collective.  Errors: NEPHRITE_ERR_INPUT: no HDF5 file, or
 * neither. */
PetscErrorCode weights_file_is(const char *path, PetscBool *is);
/** Read one, as tools/weights or a person made it (doc/manual.md has the layout).  Not collective.
 * \param[in,out] model  empty
 * Errors: NEPHRITE_ERR_INPUT, naming attribute or tensor: missing, unknown, of another shape or type, not finite. */
PetscErrorCode weights_file_load(const char *path, Model *model);

/* ------------------------------------------------------------------ checkpoints */

#define CHECKPOINT_KIND "checkpoint"
/* 1 had neither `planned` nor `patience_from`, 2 neither band powers nor residuals nor bounds, 3 neither
 * `flow` nor `one_point`, and other names for what is told; 4 had `guess` for `guess_covariance`, of networks that
 * were not shown the guess. */
enum { CHECKPOINT_VERSION = 5 };

/** Where a training stands, beside its arrays. */
typedef struct {
  int64_t step; /**< steps done */
  int64_t position; /**< of the next sample in the training sequence */
  int64_t trained; /**< realisations 0 … trained-1 of the campaign may have been trained on */
  int64_t planned; /**< train_steps of the run that got here */
  int64_t patience_from; /**< step after which validations count for train_patience */
  Normalisation normalisation;
  History history; /**< complete on rank 0, empty elsewhere */
} TrainingState;

/** The arrays of a training, [network_parameter_count()] each; groups of a checkpoint. */
typedef enum { ARRAY_WEIGHTS, ARRAY_EMA, ARRAY_M, ARRAY_V, ARRAYS } TrainingArray;

/** Whose checkpoint it is. */
typedef struct {
  const char *configuration; /**< effective configuration, YAML */
  int64_t seed;
} CheckpointOwner;

/** A checkpoint being written, array by array.  Not collective: one rank writes. */
typedef struct CheckpointWriter CheckpointWriter;
/** \param network  borrowed for the life of the writer: names and shapes of the tensors
 * Errors: NEPHRITE_ERR_IO. */
PetscErrorCode checkpoint_create(const char *path, const CheckpointOwner *owner, const Network *network,
                                 const TrainingState *state, CheckpointWriter **writer);
/** Errors: NEPHRITE_ERR_INTERNAL, naming the tensor, if a value is not finite; NEPHRITE_ERR_IO. */
PetscErrorCode checkpoint_put(CheckpointWriter *writer, TrainingArray array, const Scalar *values);
/** Let it appear under its name.  \pre all arrays have been put */
PetscErrorCode checkpoint_commit(CheckpointWriter *writer);
PetscErrorCode checkpoint_writer_destroy(CheckpointWriter **writer);

/** A checkpoint being read.  Not collective. */
typedef struct CheckpointReader CheckpointReader;
/** \param network  borrowed for the life of the reader.  Errors: NEPHRITE_ERR_INPUT */
PetscErrorCode checkpoint_open(const char *path, const Network *network, CheckpointReader **reader);
/** \param[in,out] state  its history is replaced.  Errors: NEPHRITE_ERR_INPUT: damaged. */
PetscErrorCode checkpoint_get_state(CheckpointReader *reader, TrainingState *state);
/** Errors: NEPHRITE_ERR_INPUT: damaged, or of a network of other tensors. */
PetscErrorCode checkpoint_get(CheckpointReader *reader, TrainingArray array, Scalar *values);
PetscErrorCode checkpoint_close(CheckpointReader **reader);
/** Refuse a checkpoint of a later format version, which is not damaged: to skip it would be to write over it.  Anything
 * else, damage too, passes.  Not collective.  Errors: NEPHRITE_ERR_INPUT naming the file and both versions. */
PetscErrorCode checkpoint_refuse_newer(const char *path);
/** The shape of a checkpoint's network and the configuration of the run that made it.  Not collective.
 * \param[out] configuration free with PetscFree() */
PetscErrorCode checkpoint_describe(const char *path, NetworkShape *shape, char **configuration);
/** Bytes of a checkpoint on disk, about. */
int64_t checkpoint_bytes(size_t parameters, PetscInt tensors, int64_t steps);
/** Name of the first tensor that holds a value which is not finite; NULL if none. */
const char *checkpoint_bad_tensor(const Network *network, const Scalar *values);

/** The steps of the checkpoints in a campaign directory, newest first.  Not collective.
 * \param[out] steps [count] free with PetscFree() */
PetscErrorCode checkpoint_list(const char *directory, PetscInt *count, int64_t **steps);
/** Is a file that is named as the checkpoint of a step that of this one?  Errors: NEPHRITE_ERR_INPUT. */
PetscErrorCode checkpoint_check_name(const char *path, int64_t step);
/** \param[out] path <directory>/checkpoints/step-<step>.h5 */
PetscErrorCode checkpoint_path(const char *directory, int64_t step, char path[PETSC_MAX_PATH_LEN]);
/** Remove what is older than the \p keep newest checkpoints up to step \p newest, except that of step \p best, and what
 * is newer than \p newest: such files were damaged when training went on from before them.  Not collective: one rank
 * does. */
PetscErrorCode checkpoint_prune(const char *directory, int64_t newest, PetscInt keep, int64_t best);
/** Remove what a killed job was writing.  Not collective: one rank does, and nobody else writes. */
PetscErrorCode checkpoint_remove_parts(const char *directory);

/* ------------------------------------------------------------------ the run */

typedef enum {
  PART_DATA,
  PART_FORWARD,
  PART_OBJECTIVE,
  PART_BACKWARD,
  PART_REDUCE,
  PART_OPTIMISER,
  PART_VALIDATION,
  PART_CHECKPOINT,
  PARTS
} TrainingPart;

/** Where the time goes: PETSc events for -log_view, and sums for the record of a step and the closing lines.  A part
 * may lie within another, whose time is then without it. */
typedef struct {
  PetscLogEvent event[PARTS];
  double begun[PARTS], seconds[PARTS];
  double within, around[PARTS]; /* time of the parts within the present one; of those before a part in its outer one */
  double recorded[PARTS]; /* seconds up to the last clock_record() */
} TrainingClock;
PetscErrorCode clock_create(TrainingClock *clock);
PetscErrorCode clock_begin(TrainingClock *clock, TrainingPart part);
PetscErrorCode clock_end(TrainingClock *clock, TrainingPart part);
/** Put into a step's record what the time since the last record was spent on. */
void clock_record(TrainingClock *clock, StepRecord *record);

/** What brought a training to its end. */
typedef enum { END_NOT_YET, END_STEPS, END_PATIENCE } TrainingEnd;

/** A training under way. */
typedef struct {
  MPI_Comm comm; /* the ranks that train */
  MPI_Comm simulators; /* those that simulate for them, on the other side; MPI_COMM_NULL if there are none */
  int rank, size; /* in comm */
  TrainingSetup setup;
  char *configuration; /* effective, YAML */
  NetworkShape shape;
  PetscInt micro_batch; /* samples this rank has in memory at once */
  Network *network;
  size_t own_first, own_count; /* parameters whose averages and moments this rank keeps: all, or its part */
  int *part_first, *part_count; /* [size] parts of all ranks; NULL when every rank keeps all */
  Optimizer *optimizer; /* of the own parameters */
  Reducer *reducer;
  Feed *feed;
  Guess *guess;
  BatchSource *source, *held_out;
  Scalar *x_hat, *x_bar; /* [micro_batch][bins][ny][nx] */
  Scalar *theta_hat, *theta_bar; /* [micro_batch][parameters] */
  TrainingState state;
  TrainingEnd end;
  struct {
    double step, validation, checkpoint;
  } longest; /* seconds that one has taken in this run, at most; 0 before the first */
  int64_t saved; /* step of the newest sound checkpoint; -1 if there is none */
  TrainingClock clock;
} Training;

/** Samples that a rank has in memory at once. */
PetscInt training_micro_batch(const TrainConfig *train, int ranks);
/** Answer a batch, in training->x_hat and theta_hat.  \param dropout  as of ::NetworkInput */
PetscErrorCode training_answer(Training *training, const Batch *batch, const uint64_t *dropout);
/** Does backward compute activations again?  In bfloat16? */
NetworkMode training_mode(const TrainConfig *train);
/** Find which parameters are whose. */
PetscErrorCode training_parts(Training *training);
/** This rank's own part of an array, [own_count]. */
Scalar *training_own(Training *training, TrainingArray array);
/** The whole of an array on every rank.  Collective.  \param[out] whole  in place where it is whole already, else put
 * together where the gradient is: until the next step or call */
PetscErrorCode training_whole(Training *training, TrainingArray array, Scalar **whole);
/** The same on rank 0 alone, the only one that receives anything.  Collective.  \param[out] whole  NULL elsewhere */
PetscErrorCode training_collect(Training *training, TrainingArray array, Scalar **whole);
/** Every rank's part of the weights to all others, after each has updated its own.  Collective. */
PetscErrorCode training_share_weights(Training *training);
/** An array from where rank 0 has it whole, in place of the gradient, to where every rank keeps it.  Collective. */
PetscErrorCode training_take(Training *training, TrainingArray array);
/** One line on standard output of rank 0. */
PetscErrorCode training_say(const Training *training, const char *format, ...) PETSC_ATTRIBUTE_FORMAT(2, 3);
/** On standard output of rank 0: its time in all parts, its first thread's in the parts of the network, its memory. */
PetscErrorCode training_say_costs(const Training *training);

/** Take the plan of this run: where it has more steps than the one before, the patience begins anew.  Not collective.
 */
void training_plan(Training *training);
/** Find whether this is the end: it follows from the step and the history alone.  Collective. */
PetscErrorCode training_find_end(Training *training);
/** Say what brought training to its end, if anything did. */
PetscErrorCode training_say_end(const Training *training, const char *verb);
/** Is something due after step \p step that is done every so many steps, and after the last one? */
PetscBool training_is_due(const Training *training, int64_t step, int64_t every);
/** Seconds until a checkpoint would be safe if another step were begun after the one under way, by what steps,
 * validations and checkpoints have taken so far.  Not collective. */
double training_seconds_to_safety(const Training *training);

/** Set weights, averages, moments and state from the newest sound checkpoint.  Collective.
 * \param[out] found  PETSC_FALSE if there is no checkpoint */
PetscErrorCode training_restore(Training *training, PetscBool *found);
/** Realisations that were trained on must not become held-out ones.  Errors: NEPHRITE_ERR_CONFIG. */
PetscErrorCode training_check_held_out(const Training *training);
/** \param[out] path <campaign>/training.h5 */
void training_history_path(const Training *training, char path[PETSC_MAX_PATH_LEN]);
/** Give every rank the state (but the history) of rank 0.  Collective. */
PetscErrorCode training_share_state(Training *training);
/** Write a checkpoint of the present state and the history beside it, remove old ones.  Collective. */
PetscErrorCode training_save(Training *training);
/** What a run that was killed after its last checkpoint has left to be done: write training.h5 unless it has the
 * present step and end, remove old checkpoints.  Collective. */
PetscErrorCode training_tidy_up(Training *training);
/** Validate the averaged weights on held-out realisations and add to the history.  Collective.
 * \param[out] best  is it the best so far? */
PetscErrorCode training_validate(Training *training, PetscBool *best);
/** One optimiser step.  Collective.  \param[out] record of the step, the same on all ranks but for its time
 * \param[out] stop  has any rank been asked to stop? */
PetscErrorCode training_step(Training *training, StepRecord *record, PetscBool *stop);

#endif
