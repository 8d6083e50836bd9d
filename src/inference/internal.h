/** \file internal.h  What the parts of inference share.  \ingroup inference */
#ifndef NEPHRITE_INFERENCE_INTERNAL_H
#define NEPHRITE_INFERENCE_INTERNAL_H

#include "nephrite/inference.h"

/** The draws of a user's observation are keyed by this number: no realisation of a campaign that is kept on disk. */
#define USER_OBSERVATION (INT64_C(1) << 40)

typedef struct Worker Worker;
typedef struct Block Block;
typedef struct Account Account;

/** A way to infer: what its files depend on, and what it makes of the observation at hand.  It either draws or
 * estimates. */
typedef struct {
  const char *suffix; /**< of the folder of its files, behind that of the task */
  unsigned scope; /**< of the options that its files depend on */
  /** Enough to look for what is done already.  NULL: nothing is needed. */
  PetscErrorCode (*create)(Worker *worker);
  /** Memory, sized before the first unit of work.  NULL: none is needed. */
  PetscErrorCode (*prepare)(Worker *worker);
  /** Fill block->kappa and block->theta, which are there on the first rank of the group.  Collective on the group, and
   * so are its errors.  \param key of the observation */
  PetscErrorCode (*draw)(Worker *worker, RandomKey key, Block *block);
  /** Say what is to be said when all have drawn.  Collective; may be NULL.  \param draws  made in this run by all ranks
   */
  PetscErrorCode (*conclude)(MPI_Comm comm, const Worker *worker, int64_t draws);
  /** Or one map instead of draws.  \param[out] kappa [map_size] */
  PetscErrorCode (*estimate)(Worker *worker, float *kappa);
  const char *description; /**< of that map */
  PetscErrorCode (*destroy)(Worker *worker);
  PetscBool chains; /**< a block of draws is a Markov chain, infer_chains of them; else infer_batch draws */
  PetscBool traced; /**< each step of a chain leaves a row of ::TraceColumn, and a chain that is stopped goes on */
} InferenceMethod;
extern const InferenceMethod method_diffusion, method_gaussian, method_hmc, method_kaiser_squires, method_map,
    method_wiener;
/** By -task and -infer_method. */
const InferenceMethod *method_of(const InferConfig *infer);

/** What one rank infers with: made once, used for every unit of work it takes. */
struct Worker {
  const InferenceSetup *setup;
  const PosteriorFarm *farm;
  const char *configuration; /**< YAML; borrowed */
  const InferenceMethod *method;
  void *state; /**< of the method */
  MPI_Comm group; /**< ranks that draw a block together; this one alone but for infer_group_size */
  MPI_Comm leaders; /**< the first ranks of all groups; MPI_COMM_NULL on others */
  PetscBool leads; /**< is this rank the first of its group?  It alone has blocks and files */
  StageShare share; /**< of the observations */
  PetscInt blocks; /**< of an observation; 0 for an estimate */
  PetscInt block_draws; /**< of each of them, the last may have fewer */
  PetscInt warmup, thinning; /**< of a traced chain: steps before the first draw's, and of each draw */
  PetscBool trained; /**< draws come of a checkpoint: */
  int64_t checkpoint_step, checkpoint; /**< digest of its weights */
  Observer *observer;
  Simulator *simulator; /* of spectra; NULL until a Wiener filter is wanted */
  TruthSource *truths; /* NULL with a user's file */
  /* The observation at hand. */
  int64_t observation; /* -1 for none yet */
  int64_t shown; /**< digest of data, mask and noise */
  PetscBool truth_known, theta_known;
  float *truth; /* [map_size] */
  double *truth_theta; /* [parameters] */
  float *raw, *channels; /* [observer_raw_size()], [observer_channels()][ny][nx] */
  float *mask; /* [ny][nx], NULL where the survey has none */
  double *noise_std; /* [bins], or with survey_counts [bins][ny][nx] */
  double longest; /* seconds that a block has taken, at most */
  const Account *account; /**< of the stage at hand; NULL between stages */
};

/** Observer and method; enough to look for what is done already.  Errors: those of posterior_farm(), on this rank. */
PetscErrorCode worker_create(const InferenceSetup *setup, const PosteriorFarm *farm, const char *configuration,
                             Worker *worker);
/** Form groups of infer_group_size.  Collective on \p comm.
 * Errors: NEPHRITE_ERR_CONFIG: as group_split(); maps that cannot be divided so; a method that is not traced. */
PetscErrorCode worker_form_group(MPI_Comm comm, Worker *worker);
PetscErrorCode worker_prepare(Worker *worker); /**< memory, sized before the first unit of work */
/** Make observation \p observation the one at hand. */
PetscErrorCode worker_observe(Worker *worker, int64_t observation);
/** Of methods that take parameters and nothing else: worker->state is those that infer_fiducial names, the others at
 * their prior's means, double [prior_count()].  Errors: NEPHRITE_ERR_CONFIG: it names no parameter, or there is no such
 * universe. */
PetscErrorCode fiducial_create(Worker *worker);
PetscErrorCode fiducial_destroy(Worker *worker);
/** The observation at hand; borrowed. */
Observation worker_observation(const Worker *worker);
/** C_ij(ell) at given parameters.  Borrowed until the next call.  Errors: those of simulator_spectra(). */
PetscErrorCode worker_spectra(Worker *worker, const double *theta, const LensingSpectra **spectra);
/** Wiener filter of the observation at hand, also under a mask.  \param theta [prior_count()]
 * \param[out] kappa [map_size] */
PetscErrorCode worker_wiener(Worker *worker, const double *theta, float *kappa);
PetscErrorCode worker_destroy(Worker *worker); /**< Collective, where it has a group. */
size_t worker_map_size(const Worker *worker);
/** Number of the realisation an observation is of; USER_OBSERVATION for a user's file. */
int64_t worker_realisation(const Worker *worker, int64_t observation);
/** Are the drawn maps of this observation kept? */
PetscBool worker_keeps_maps(const Worker *worker, int64_t observation);

/** Tell the progress lines, from one rank of a group, of \p steps more: draws, observations, or steps of a traced
 * chain.  \param note  more words, may be NULL */
PetscErrorCode worker_advance(Worker *worker, PetscInt steps, const char *note);

/** Mean and spread of some maps. */
typedef struct {
  PetscInt count; /**< maps */
  double *mean, *square; /* [size] mean, sum of squared deviations */
} Moments;
/** \param map [moments->count][size] */
void moments_measure(size_t size, const float *map, Moments *moments);
/** Add maps to others.  \param[in,out] all  may have a count of 0, with zeros */
void moments_join(size_t size, Moments *all, const Moments *more);

/** What is kept of each step of a traced chain after its warm-up. */
typedef enum {
  TRACE_LOG_DENSITY,
  TRACE_ENERGY,
  TRACE_ACCEPTANCE,
  TRACE_STEP_SIZE,
  TRACE_DEPTH,
  TRACE_GRADIENTS,
  TRACE_ACCEPTED,
  TRACE_DIVERGENT,
  TRACE_COLUMNS
} TraceColumn;
/** Steps of a block that leave a row; 0 where the method is not traced. */
PetscInt block_trace(const Worker *worker);

/** A block of draws, as it is handed from the rank that drew it to the one that joins it to others. */
struct Block {
  PetscInt first, count; /* draws */
  float *kappa; /* [count][map_size]; holds nothing after part_read() where maps are not kept */
  double *theta; /* [count][parameters] */
  Moments moments; /**< of the maps */
  int64_t *tally; /* [tally->size] */
  double *trace; /* [block_trace()][TRACE_COLUMNS] */
  double *state; /* [state_size] of a chain that has not ended; else NULL.  Borrowed */
  size_t state_size;
  int64_t steps; /* of that chain, made */
};
PetscErrorCode block_create(const Worker *worker, Block *block);
PetscErrorCode block_destroy(Block *block);

/** Draw block \p index of an observation and publish it in `<folder>/parts/`.  Collective on the group. */
PetscErrorCode part_write(Worker *worker, int64_t observation, PetscInt index);
/** \param[in,out] block  from block_create() */
PetscErrorCode part_read(Worker *worker, int64_t observation, PetscInt index, Block *block);
/** Save a chain that has not ended: block->state, and the draws and trace so far. */
PetscErrorCode chain_save(Worker *worker, const Block *block);
/** Go on with what chain_save() has left of this chain of the observation at hand, if that is whole, and of this
 * configuration and observation.  \param[in,out] block  with a state to be filled  \param[out] resumed  was there any?
 */
PetscErrorCode chain_resume(Worker *worker, Block *block, PetscBool *resumed);
/** Steps that a saved chain has made, as far as its file tells at a glance; 0 if there is none of this configuration.
 */
PetscErrorCode chain_steps(Worker *worker, int64_t observation, PetscInt index, int64_t *steps);
/** Remove all blocks of an observation, also those that a run with another infer_batch has left. */
PetscErrorCode part_remove(const Worker *worker, int64_t observation);
/** Is the block there, whole, and of this configuration, checkpoint and observation?  Another one is no error: it is
 * drawn again. */
PetscErrorCode part_is_done(Worker *worker, int64_t observation, PetscInt index, PetscBool *done);

/** Join an observation's blocks into its posterior file, and remove them; or estimate its map into that file. */
PetscErrorCode posterior_join(Worker *worker, int64_t observation);
/** Is there a posterior file of this observation, of this checkpoint where there is one?  Errors: NEPHRITE_ERR_INPUT if
 * it cannot be opened or is of another configuration. */
PetscErrorCode posterior_is_done(Worker *worker, int64_t observation, PetscBool *done);
/** Read all of the file of an observation that is done.  Errors: NEPHRITE_ERR_INPUT if it is damaged. */
PetscErrorCode posterior_verify(const Worker *worker, int64_t observation);
/** Which checkpoint and observation a file is drawn from: root attributes of blocks and posterior files. */
PetscErrorCode origin_write(const Worker *worker, int64_t observation, ProductWriter *writer);
/** Errors: NEPHRITE_ERR_INPUT if a block or posterior file is of another configuration or solver than ours. */
PetscErrorCode origin_require(const Worker *worker, unsigned scope, ProductReader *reader, const char *path);
/** \param[out] same  also for a held-out observation that has not been made: it is known by its realisation */
PetscErrorCode origin_compare(Worker *worker, int64_t observation, ProductReader *reader, PetscBool *same);

/** Mean and spread of the drawn maps. */
PetscErrorCode contents_moments(const Worker *worker, const Moments *moments, ProductWriter *writer);
/** Whether Markov chains have converged, of every parameter that is drawn, in the file and in a line of output; nothing
 * where they are too short to tell.  \param theta [draws][parameters], chain after chain */
PetscErrorCode contents_diagnostics(const Worker *worker, const double *theta, ProductWriter *writer);
/** What the sampler says of itself.  \param trace [blocks][block_trace()][TRACE_COLUMNS] */
PetscErrorCode contents_trace(const Worker *worker, const double *trace, ProductWriter *writer);
/** \param kappa [map_size]  what method->estimate made */
PetscErrorCode contents_estimate(const Worker *worker, const float *kappa, ProductWriter *writer);
/** What every file holds beside: observation and truth. */
PetscErrorCode contents_write(Worker *worker, ProductWriter *writer);

/* ------------------------------------------------------------------ climb.c */

/** Climb to the most probable white noise at given parameters, from none.  Collective.  Not to converge is no error;
 * where there is no field with these parameters, found->log_density is -infinity. \param[out] x
 * [field_posterior_dimension()] parameters and noise Errors: those of maximum_find() and prior_to_normal(). */
PetscErrorCode climb_at(MPI_Comm comm, FieldPosterior *posterior, const double *theta, PetscInt most_iterations,
                        double *x, Maximum *found);
#define CLIMB_TOLERANCE                                                                                                \
  1e-4 /**< of a gradient whose coordinates are a priori standard normals: far below their width */

/* ------------------------------------------------------------------ emulator.c */

/** Spectra and shifts as polynomials of the parameters, with derivatives.  Of the published prior spectra are good to
 * 3e-3 in the median; where nearly all matter is baryons they may be wrong altogether. */
typedef struct Emulator Emulator;
/** Takes some thousand evaluations of the lensing model.  \param prior  borrowed
 * Errors: NEPHRITE_ERR_INTERRUPTED: asked to stop.  NEPHRITE_ERR_CONFIG: too little of the prior has spectra.  Those of
 * lensing_model_for_survey(). */
PetscErrorCode emulator_create(const SurveyConfig *survey, const Prior *prior, Emulator **emulator);
/** \param[out] spectra  borrowed, until the next call; NULL of unphysical parameters */
PetscErrorCode emulator_evaluate(Emulator *emulator, const double *theta, const LensingSpectra **spectra);
/** From a number's derivatives by the spectra of the last emulator_evaluate() to those by its parameters.
 * \param[out] theta_bar [prior_count()], 0 where fixed */
PetscErrorCode emulator_pull_back(Emulator *emulator, const LensingSpectra *spectra_bar, double *theta_bar);
PetscErrorCode emulator_destroy(Emulator **emulator);
/** Let a posterior have its spectra from here on of an emulator of its survey and prior.  \param emulator  borrowed */
void field_posterior_use(FieldPosterior *posterior, Emulator *emulator);
void parameter_posterior_use(ParameterPosterior *posterior, Emulator *emulator); /**< the same */

/* ------------------------------------------------------------------ theory.c */

/** Spectra and shifts at parameters of the prior.  \param[out] exist  not: they are not physical, the convergence has
 * no positive skewness, or they lie beyond a shift table */
PetscErrorCode spectra_at(LensingModel *model, const Prior *prior, const double *theta, LensingSpectra *spectra,
                          PetscBool *exist);
/** Spectra and shifts as functions of the parameters, with derivatives. */
typedef struct Theory Theory;
/** Collective on \p comm, as evaluations are, of the same parameters on all ranks: results are the same on all, bit for
 * bit.  \param survey, prior, comm  borrowed */
PetscErrorCode theory_create(MPI_Comm comm, const SurveyConfig *survey, const Prior *prior, Theory **theory);
/** \param[out] spectra  borrowed, until the next call; NULL where there are none: unphysical parameters, no positive
 * skewness, beyond a shift table */
PetscErrorCode theory_evaluate(Theory *theory, const double *theta, const LensingSpectra **spectra);
/** From a number's derivatives by the spectra of the last theory_evaluate() to those by its parameters.
 * \param spectra_bar  as of field_pull_back()  \param[out] theta_bar [prior_count()], 0 where fixed */
PetscErrorCode theory_pull_back(Theory *theory, const LensingSpectra *spectra_bar, double *theta_bar);
PetscErrorCode theory_destroy(Theory **theory);

#endif
