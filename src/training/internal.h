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
 * overlaps with the rest of backward.  Buckets have fixed boundaries. */
typedef struct Reducer Reducer;
/** \param values [count] borrowed for the life of the reducer; holds the sum after reducer_finish() */
PetscErrorCode reducer_create(MPI_Comm comm, size_t count, Scalar *values, Reducer **reducer);
/** A ::GradientReady: values[offset, …) are final.  \param reducer a Reducer */
PetscErrorCode reducer_ready(void *reducer, size_t offset, size_t count);
/** Start what has not been started and wait for everything; then ready for the next step.  Collective. */
PetscErrorCode reducer_finish(Reducer *reducer);
PetscErrorCode reducer_destroy(Reducer **reducer);

/** This rank's part of \p total things: contiguous, in rank order, sizes differing by at most one. */
void share_of(MPI_Comm comm, int64_t total, int64_t *first, int64_t *count);

/* ------------------------------------------------------------------ batches */

/* Random numbers of a training sample are keyed by its position in the training sequence, those of a validation sample
 * by its realisation.  The two upper bits keep both apart from each other and from every other use of a stream by the
 * index of a realisation, observation or draw, all of which are below 2^62. */
#define TRAINING_KEY ((uint64_t)1 << 63)
#define VALIDATION_KEY ((uint64_t)1 << 62)
/* Online training simulates realisations from here on: beyond any campaign that is kept on disk. */
#define ONLINE_FIRST ((int64_t)1 << 40)

/** Samples as the network and the objective take them, normalised. */
typedef struct {
  PetscInt count;
  Scalar *x, *z; /* [capacity][bins][ny][nx] clean, noisy */
  Scalar *theta, *z_theta; /* [capacity][parameters] clean, noisy */
  Scalar *observation; /* [capacity][observation_channels][ny][nx] */
  Scalar *t; /* [capacity] */
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

/** Standard deviation of the maps per bin, mean and standard deviation of the parameters, over the first \p count items
 * of \p source.  Collective; the same bit for bit for any number of ranks.
 * Errors: NEPHRITE_ERR_INPUT if the maps of a bin are constant or not finite. */
PetscErrorCode normalisation_measure(MPI_Comm comm, BatchSource *source, const NetworkShape *shape, int64_t count,
                                     Normalisation *normalisation);

/* ------------------------------------------------------------------ history */

/** The course of training; kept by rank 0, part of every checkpoint. */
typedef struct {
  int64_t step;
  double loss, field, theta; /* means over the batch */
  double gradient_norm, learning_rate, samples_per_second, seconds;
} StepRecord;
typedef struct {
  int64_t step;
  double loss, field, theta; /* means over the held-out realisations */
} ValidationRecord;
typedef struct {
  int64_t steps, steps_capacity;
  StepRecord *step; /* [steps] */
  int64_t validations, validations_capacity;
  ValidationRecord *validation; /* [validations] */
} History;
PetscErrorCode history_add_step(History *history, const StepRecord *record);
PetscErrorCode history_add_validation(History *history, const ValidationRecord *record);
/** The validation with the least parameter part; NULL if there is none. */
const ValidationRecord *history_best(const History *history);
/** Declare and write all columns under \p prefix ("" or "history/").  Collective on the writer's ranks. */
PetscErrorCode history_write(const History *history, const char *prefix, ProductWriter *writer);
PetscErrorCode history_read(ProductReader *reader, const char *prefix, History *history);
PetscErrorCode history_clear(History *history);

#endif
