/** \file inference.h
 * From an observation to draws of (map, parameters).  \defgroup inference Inference
 */
#ifndef NEPHRITE_INFERENCE_H
#define NEPHRITE_INFERENCE_H

#include "nephrite/training.h"

typedef enum { TASK_POSTERIOR, TASK_COVERAGE, TASK_MAP } InferTask;

/** What makes draws, or a map alone, of an observation. */
typedef enum {
  METHOD_DIFFUSION, /**< draws by the trained network */
  METHOD_GAUSSIAN, /**< draws from the exact posterior of a Gaussian field */
  METHOD_HMC, /**< draws by Hamiltonian Monte Carlo on the simulator's own model */
  METHOD_WIENER, /**< the Wiener filter at given parameters */
  METHOD_KAISER_SQUIRES, /**< the map that an observation shows by itself */
} InferMethod;

/** How the flow is integrated (network.md, section 8). */
typedef enum {
  SOLVER_HEUN, /**< Heun's method in equal steps: two evaluations of the network a step */
  SOLVER_MULTISTEP2, /**< exponential multistep method with the last two predictions: one evaluation a step */
  SOLVER_MULTISTEP3, /**< the same with three */
  SOLVER_ADAPTIVE, /**< a Runge-Kutta method of fifth order in steps that follow from a tolerance */
} SamplerSolver;

/** How the last step of Heun's method ends (network.md, section 8). */
typedef enum {
  CLOSING_PREDICTION, /**< an Euler step onto the network's prediction: no noise is left; 2n - 1 evaluations */
  CLOSING_HEUN, /**< a Heun step like the others: 2n evaluations */
  CLOSING_PUBLISHED, /**< that, and one more Euler step with the velocity at t = 1 - 1/n: 2n + 1 evaluations */
} SamplerClosing;

/** What a draw may cost, and how it is spent. */
typedef struct {
  SamplerSolver solver;
  SamplerClosing closing; /**< of Heun's method */
  PetscInt evaluations; /**< of the network for a draw, at most; not of the adaptive solver */
  double noise_left; /**< not of Heun's method: 1 - t where the flow ends and a draw lands on the prediction */
  double spacing; /**< of the multistep solvers' times: (1 - t)^(1/spacing) is equally spaced */
  double tolerance; /**< of the adaptive solver: error allowed in a step, in normalised units, as a root mean square
                       over maps and over parameters */
} SamplerSettings;

/** The `infer` section of a campaign file, with -task and -observation. */
typedef struct {
  int task; /**< ::InferTask */
  int method; /**< ::InferMethod */
  char observation[OPTION_TEXT_SIZE]; /**< a user's file; "": held-out realisations of the campaign */
  char checkpoint[OPTION_TEXT_SIZE]; /**< "": best or newest of the campaign */
  PetscInt draws, observations, batch, evaluations;
  PetscInt keep_maps; /**< observations of -task coverage whose drawn maps are kept */
  int solver, closing; /**< ::SamplerSolver, ::SamplerClosing */
  double noise_left, spacing, tolerance; /**< as in ::SamplerSettings */
  PetscInt chains, warmup, thinning; /**< Markov chains of an observation; steps of each, 0: what suits the method */
  PetscInt group_size; /**< ranks that have a chain of ::METHOD_HMC together */
  PetscBool emulator; /**< do its trajectories follow spectra of an emulator? */
  PetscInt max_depth; /**< as in ::NutsConfig */
  double acceptance; /**< target_acceptance of ::NutsConfig */
  double checkpoint_minutes; /**< between the times at which an unfinished chain is saved */
  char fiducial[OPTION_TEXT_SIZE]; /**< parameters of maps, "sigma_8=0.8"; others at the prior's means */
  PetscInt iterations; /**< at most, to the maximum of -task map */
  double smoothing_arcmin; /**< of the Kaiser-Squires map: standard deviation of a Gaussian */
} InferConfig;
extern const OptionTable infer_options;

/** One observation as a user gives it, checked. */
typedef struct {
  float *raw; /* [bins][2][ny][nx] shear or [bins][ny][nx] convergence, as the survey has it; 0 in masked pixels */
  double *noise_std; /* per pixel and component: [bins], or with survey_counts [bins][ny][nx] */
  float *mask; /* [ny][nx] 1 = observed; NULL: all */
  float *truth_kappa; /* [bins][ny][nx], NULL if the file does not tell */
  double *truth_theta; /* [parameters], NULL if the file does not tell */
} Observation;
/** Read and check a user's file: `shear[bin,2,y,x]` or `convergence[bin,y,x]`, `noise_std[bin]` or `[bin,y,x]`, root
 * attribute `field_of_view` in degrees; optional `mask[y,x]`, `truth/kappa[bin,y,x]`, `truth/theta[parameter]`.
 * \param parameters  of a true theta
 * Errors: NEPHRITE_ERR_INPUT: unreadable; a dataset is missing, of another shape or pixel scale, or not what the survey
 * observes; values that are not finite in observed pixels; noise 1% away from what the survey has, or from its
 * survey_noise_range, or that differs otherwise from pixel to pixel.  The message says where, and what would fit. */
PetscErrorCode observation_read(const char *path, const SurveyConfig *survey, PetscInt parameters,
                                Observation **observation);
PetscErrorCode observation_destroy(Observation **observation);

/** Draws from p(map, parameters | observation) by the probability-flow ODE (network.md, section 8). */
typedef struct Sampler Sampler;
/** \param batch draws at once  \param settings copied
 * Errors: NEPHRITE_ERR_CONFIG for too few evaluations or a tolerance that is not positive; NEPHRITE_ERR_INPUT if the
 * weights are not as many as the network has. */
PetscErrorCode sampler_create(const Model *model, PetscInt batch, const SamplerSettings *settings, Sampler **sampler);
/** Evaluations of the network that a draw takes: at most settings->evaluations; 0 if its tolerance decides. */
PetscInt sampler_evaluations(const SamplerSettings *settings);
/** Evaluations made so far, a batch counting as often as it has draws. */
int64_t sampler_evaluated(const Sampler *sampler);
/** The settings of a campaign file. */
SamplerSettings sampler_settings(const InferConfig *infer);
/** Told of every finished step, 1, 2, …, with z in normalised units; with ::CLOSING_PUBLISHED the last one is the
 * closing Euler step.  The adaptive solver does not tell of its last move, onto the prediction. */
typedef struct {
  PetscErrorCode (*step_done)(void *context, PetscInt step, const Scalar *z, const Scalar *z_theta);
  void *context;
} SamplerMonitor;
/** What the network is told of observations, in normalised units. */
typedef struct {
  const Scalar *channels; /**< [draws][observation_channels][ny][nx] */
  const Scalar *summaries; /**< [draws][network_summary_count()] */
} SamplerCondition;
/** Integrate from given noise, in normalised units; every draw may have an observation of its own.
 * \param draws at most the batch
 * \param[in,out] z [draws][bins][ny][nx]  \param[in,out] z_theta [draws][parameters]  \param monitor may be NULL
 * Errors: NEPHRITE_ERR_INTERNAL if a prediction is not finite, and those of the monitor; NEPHRITE_ERR_CONFIG if the
 * adaptive solver cannot reach its tolerance. */
PetscErrorCode sampler_integrate(Sampler *sampler, const SamplerCondition *condition, PetscInt draws, Scalar *z,
                                 Scalar *z_theta, const SamplerMonitor *monitor);
/** Draws first … first+count-1 of an observation: draw d starts from the normals at positions d (map size + parameters)
 * on, first the map's, then the parameters'. */
typedef struct {
  RandomKey key; /**< of the observation */
  PetscInt first, count;
} SamplerRange;
/** Draw, in physical units.
 * \param channels [observation_channels][ny][nx] from observer_present(), not normalised
 * \param[out] kappa [count][bins][ny][nx]  \param[out] theta [count][parameters] */
PetscErrorCode sampler_draw(Sampler *sampler, const float *channels, const SamplerRange *range, float *kappa,
                            double *theta);
PetscErrorCode sampler_destroy(Sampler **sampler);

/* ------------------------------------------------------------------ the exact posterior of a Gaussian field */

/** ln p(observation | cosmology) of a Gaussian field, the map integrated out, of an unmasked observation with white
 * noise: exact, a sum over Fourier modes with all bins jointly.  Keeps of the observation what that needs: a matrix of
 * bins x bins for each distinct |k|.  Uses work space: one per thread; create from one thread at a time. */
typedef struct ModeLikelihood ModeLikelihood;
/** \param survey  geometry, bins and kind of observation  \param noise_std [bins] per pixel and component
 * \param raw as in Observation
 * Errors: NEPHRITE_ERR_INPUT: a noise_std that is not positive. */
PetscErrorCode mode_likelihood_create(const SurveyConfig *survey, const double *noise_std, const float *raw,
                                      ModeLikelihood **likelihood);
/** \param[out] log_likelihood  of the numbers observed, with all its constants
 * Errors: NEPHRITE_ERR_INPUT: spectra that no field has, or as for field_spectrum(). */
PetscErrorCode mode_likelihood_evaluate(ModeLikelihood *likelihood, const LensingSpectra *spectra,
                                        double *log_likelihood);
PetscErrorCode mode_likelihood_destroy(ModeLikelihood **likelihood);

/** ln p(parameters | observation) of a Gaussian field, up to a constant: the prior and the exact likelihood, the map
 * integrated out.  Uses work space: one per thread; create from one thread at a time. */
typedef struct ParameterPosterior ParameterPosterior;
/** \param prior  borrowed, to outlive the posterior  \param observation  not masked, with noise alike in all pixels
 * Errors: NEPHRITE_ERR_CONFIG: a field that is not Gaussian.  NEPHRITE_ERR_INPUT: a mask, or noise that varies; as
 * mode_likelihood_create() and lensing_model_for_survey(). */
PetscErrorCode parameter_posterior_create(const SurveyConfig *survey, const Prior *prior,
                                          const Observation *observation, ParameterPosterior **posterior);
/** \param theta [prior_count()]  \param[out] log_density  -inf where the prior is 0 or the simulator would draw anew */
PetscErrorCode parameter_posterior_evaluate(ParameterPosterior *posterior, const double *theta, double *log_density);
PetscErrorCode parameter_posterior_destroy(ParameterPosterior **posterior);

/** What a chain samples: parameter_posterior_evaluate(), or any other density over the prior's parameters. */
typedef struct ParameterDensity {
  PetscErrorCode (*evaluate)(void *context, const double *theta, double *log_density); /**< -inf where it is 0 */
  void *context;
  /** A density close to it that costs less, or NULL.  Steps then follow this one, and where a draw's steps have led the
   * other accepts or refuses, so that draws are of it (Christen & Fox 2005; Liu 2001, section 9.4.3). */
  const struct ParameterDensity *approximate;
} ParameterDensity;
typedef struct {
  PetscInt warm_up; /**< steps that are not kept, in which the proposal is fitted: some thousands */
  PetscInt draws; /**< that are kept */
  PetscInt thinning; /**< steps from one to the next */
} ChainLength;
typedef struct {
  double *theta; /* [draws][parameters] */
  double *log_density; /* [draws], or NULL if that is not wanted */
  double acceptance; /**< share of the steps after the warm-up that were taken */
  double accepted; /**< share of the draws' ends that were; 1 without an approximate density */
} ChainDraws;
/** One Markov chain of parameters, by random-walk Metropolis from a draw of the prior.  Parameters that the prior fixes
 * stay.  A function of density, length, key and chain alone: chains may run wherever there is time.  Its numbers are at
 * positions of \p key from 2^63 up, which are to be left to chains.
 * \param chain 0 … 2^23 - 1  \param[in,out] draws  arrays to be filled
 * Errors: NEPHRITE_ERR_INTERRUPTED: asked to stop.  NEPHRITE_ERR_CONFIG: no length, or all parameters are fixed.
 * NEPHRITE_ERR_INPUT: the density is 0 wherever the chain tries to start.  Those of the density. */
PetscErrorCode parameter_chain_run(const Prior *prior, const ParameterDensity *density, const ChainLength *length,
                                   RandomKey key, PetscInt chain, ChainDraws *draws);

/** Maps of a Gaussian field given an observation and a cosmology, exactly: the mean of their posterior, and draws from
 * it, with masks and with noise that varies from pixel to pixel.  Modes without power (k = 0) are 0, modes that are not
 * seen as the prior has them.  Uses work space: one per thread; create from one thread at a time. */
typedef struct ConstrainedField ConstrainedField;
typedef enum {
  CONSTRAINT_BY_MODE, /**< each Fourier mode by itself: all pixels are seen with the same noise */
  CONSTRAINT_BY_ITERATION, /**< all modes together, by conjugate gradients (PETSc KSP) */
} ConstraintMethod;
typedef struct {
  int method; /**< ::ConstraintMethod */
  double tolerance; /**< of an iteration: its last residual over its first, in the norm of the preconditioner */
  PetscInt most_iterations; /**< more are a failure */
} ConstraintSolver;
/** What suits an observation: by mode where that is possible. */
ConstraintSolver constraint_solver_for(const SurveyConfig *survey, const Observation *observation);
/** \param observation  raw, noise_std and mask are looked at, and copied; what raw holds in masked pixels is not; a
 * noise_std may be infinite, where there is no galaxy  \param solver  NULL for what suits
 * Errors: NEPHRITE_ERR_INPUT: a noise_std that is not positive; by mode where that is not possible. */
PetscErrorCode constrained_field_create(const SurveyConfig *survey, const Observation *observation,
                                        const ConstraintSolver *solver, ConstrainedField **field);
/** Prepare for a cosmology.  \param name  of it, for messages, as of prior_describe(); may be NULL
 * Errors: NEPHRITE_ERR_INPUT: spectra that no field has, or as for field_spectrum(). */
PetscErrorCode constrained_field_set_spectra(ConstrainedField *field, const LensingSpectra *spectra, const char *name);
/** The mean of the posterior: the Wiener filter.  \param[out] kappa [bins][ny][nx]
 * Errors: NEPHRITE_ERR_INTERNAL: an iteration does not converge, naming cosmology and residual. */
PetscErrorCode constrained_field_mean(ConstrainedField *field, double *kappa);
/** A draw from the posterior, a function of observation, spectra and the normals at positions \p position …
 * position + constrained_field_normals() - 1 of \p key: first white noise of the map, then that of the observation. The
 * same by either method, to the tolerance of the iteration.  \param[out] kappa [bins][ny][nx]
 * Errors as constrained_field_mean(). */
PetscErrorCode constrained_field_draw(ConstrainedField *field, RandomKey key, uint64_t position, float *kappa);
/** Random numbers that a draw takes. */
uint64_t constrained_field_normals(const ConstrainedField *field);
/** Iterations of the last mean or draw; 0 by mode. */
PetscInt constrained_field_iterations(const ConstrainedField *field);
PetscErrorCode constrained_field_destroy(ConstrainedField **field);
/** Wiener filter of an observation: constrained_field_mean() of a field that is made for it alone.
 * \param name  of the cosmology, for messages; may be NULL  \param[out] kappa [bins][ny][nx]
 * Errors: those of a ConstrainedField. */
PetscErrorCode wiener_filter(const SurveyConfig *survey, const LensingSpectra *spectra, const char *name,
                             const Observation *observation, float *kappa);
/** A log-density and its gradient, up to a constant.  Where the density is 0, \p log_density is -infinity and the
 * gradient is not looked at.  Where a group of ranks has divided the coordinates it is collective: x and the gradient
 * are those of this rank, and log-density and errors are the same on all.
 * \param x [dimension]  \param[out] gradient [dimension]; NULL where a function says that it may be, if not wanted */
typedef PetscErrorCode LogDensity(void *context, const double *x, double *log_density, double *gradient);

/** The posterior of map and parameters for one observation, with the simulator's own model as the prior: log-normal (or
 * Gaussian) field, white noise on shear or convergence.  To be sampled by Hamiltonian Monte Carlo (Boruah, Rozo &
 * Fiedorowicz 2022, 2204.13216; Porqueres et al. 2022, 2108.04825; of the published work this repository follows, the
 * reference posterior).
 *
 * Coordinates x are a priori independent standard normals: first the u of each parameter that is not fixed
 * (prior_from_normal()), then the white noise [bins][ny][nx] of the field.  Where a group of ranks has one posterior,
 * each has all of the parameters and the rows of field_slab() of the rest.  Parameters that are not physical, or for
 * which no log-normal field exists, have density 0, as in the simulator. */
typedef struct FieldPosterior FieldPosterior;
/** Collective on \p comm, and so is what follows unless it says otherwise; create from one thread at a time.
 * \param comm, survey, prior  borrowed  \param observation  the whole on each rank; copied
 * Errors: those of lensing_model_for_survey() and field_check(); NEPHRITE_ERR_INPUT: a noise_std that is not positive.
 */
PetscErrorCode field_posterior_create(MPI_Comm comm, const SurveyConfig *survey, const Prior *prior,
                                      const Observation *observation, FieldPosterior **posterior);
/** That are sampled: the first coordinates.  Not collective. */
PetscInt field_posterior_parameters(const FieldPosterior *posterior);
/** These and bins x rows x nx: coordinates on this rank.  Not collective. */
PetscInt field_posterior_dimension(const FieldPosterior *posterior);
/** This rank's part of white noise and maps [bins][ny][nx], for group_gather() and group_scatter().  Not collective. */
GroupShare field_posterior_share(const FieldPosterior *posterior);
/** A ::LogDensity with the posterior as its context, \p gradient may be NULL: the gradient in closed form but for the
 * spectra, whose derivatives by parameters are central differences, good to 1e-8 and in the worst case, where the cells
 * of the theory's tables meet, to 2e-6. */
PetscErrorCode field_posterior_evaluate(void *posterior, const double *x, double *log_density, double *gradient);
/** What coordinates mean.  \param[out] theta [prior_count()], may be NULL
 * \param[out] kappa [bins][rows][nx], may be NULL, on all ranks  Errors: NEPHRITE_ERR_INPUT where the density is 0. */
PetscErrorCode field_posterior_unpack(FieldPosterior *posterior, const double *x, double *theta, double *kappa);
/** Coordinates of given parameters and white noise.  Not collective.
 * \param theta [prior_count()]  \param white [bins][rows][nx]  \param[out] x [field_posterior_dimension()]  Errors:
 * those of prior_to_normal(). */
PetscErrorCode field_posterior_pack(const FieldPosterior *posterior, const double *theta, const double *white,
                                    double *x);
PetscErrorCode field_posterior_destroy(FieldPosterior **posterior);

/** How long a maximum is looked for. */
typedef struct {
  PetscInt dimension; /**< on this rank */
  PetscInt most_iterations;
  double tolerance; /**< of the root mean square of the gradient's components */
} MaximumSearch;
typedef struct {
  double log_density, gradient; /**< root mean square of its components */
  PetscInt iterations, evaluations;
  PetscBool converged;
} Maximum;
/** Climb to a maximum of a log-density by a quasi-Newton method (PETSc TAO's LMVM).  Not to converge is no error.
 * Collective on \p comm, whose ranks have divided the coordinates.
 * \param[in,out] x [dimension]  where to begin, with a density above 0; the maximum
 * Errors: NEPHRITE_ERR_INTERRUPTED: asked to stop; those of the density. */
PetscErrorCode maximum_find(MPI_Comm comm, const MaximumSearch *search, LogDensity *density, void *context, double *x,
                            Maximum *found);

/** How a chain of the no-U-turn sampler is run. */
typedef struct {
  MPI_Comm comm; /**< whose ranks have one chain together; borrowed */
  PetscInt dimension; /**< coordinates on this rank */
  PetscInt dense; /**< the first coordinates share a dense mass matrix, the others have a diagonal one; 0 for none.
                     Every rank has these, with the same values */
  GroupShare share; /**< of the others, [pieces][length] of [pieces][total]; zeros: all are on this rank */
  PetscInt warmup; /**< iterations in which step size and mass matrix are learnt */
  PetscInt max_depth; /**< a trajectory has at most 2^max_depth - 1 steps; Stan's default is 10 */
  double target_acceptance; /**< Stan's default is 0.8 */
  /** NULL, or the density to be sampled, where the one that trajectories follow is an approximation to it: the end of a
   * trajectory is then accepted by their ratio (Christen & Fox 2005), from the end of the warm-up's windows on.  Its
   * gradient is not asked for. */
  LogDensity *exact;
  RandomKey key; /**< of this chain: its numbers are a function of (key, iteration) */
} NutsConfig;

/** What an iteration did. */
typedef struct {
  double log_density, energy; /**< of the new position; the energy with its momenta.  Of NutsConfig::exact the density,
                                 where there is one */
  double acceptance; /**< mean of min(1, exp(H_0 - H)) over the trajectory */
  double step_size; /**< that was used */
  PetscInt depth, steps; /**< doublings begun, and gradients taken */
  PetscBool divergent; /**< the energy rose by more than 1000 */
  double accepted; /**< probability with which NutsConfig::exact took the end of the trajectory; 1 without it */
  PetscBool warmup; /**< something was learnt: no draw of the density */
} NutsTransition;

/** A chain of the no-U-turn sampler (Hoffman & Gelman 2014, 1111.4246) with multinomial weights and the generalised
 * criterion (Betancourt 2017, 1701.02434), warmed up as Stan does.  Positions must have about unit scale a priori.
 * Memory: some 17 + 6 max_depth vectors; an iteration allocates nothing.
 *
 * A chain of several ranks decides the same on all of them, and is that of one rank but for rounding. */
typedef struct Nuts Nuts;
/** Collective on config->comm, and so is what follows but for nuts_position(), nuts_iteration() and nuts_state_size().
 * \param context  of \p density; borrowed
 * Errors: NEPHRITE_ERR_CONFIG: numbers out of range.  NEPHRITE_ERR_INTERNAL: shares that are not the whole. */
PetscErrorCode nuts_create(const NutsConfig *config, LogDensity *density, void *context, Nuts **nuts);
/** Begin a chain.  \param x [dimension]  Errors: NEPHRITE_ERR_INPUT: the density there is 0, or rises wherever one
 * steps; those of the density. */
PetscErrorCode nuts_start(Nuts *nuts, const double *x);
/** One iteration.  Errors: those of the density. */
PetscErrorCode nuts_step(Nuts *nuts, NutsTransition *transition);
const double *nuts_position(const Nuts *nuts); /**< [dimension], borrowed until the next iteration */
PetscInt nuts_iteration(const Nuts *nuts); /**< how many are done, those of the warm-up among them */
/** Numbers that are the whole state of a chain between iterations, whichever ranks have it. */
size_t nuts_state_size(const Nuts *nuts);
/** \param[out] state [nuts_state_size()] on the first rank, elsewhere not looked at */
PetscErrorCode nuts_state_save(const Nuts *nuts, double *state);
/** Go on as the chain would that the state was saved of, bit for bit, given the same NutsConfig; on another number of
 * ranks but for rounding.  \param state [nuts_state_size()] on the first rank, elsewhere not looked at
 * Errors: NEPHRITE_ERR_INTERNAL: it is no state. */
PetscErrorCode nuts_state_restore(Nuts *nuts, const double *state);
PetscErrorCode nuts_destroy(Nuts **nuts);

/** What the chains of one quantity say of each other and of themselves (Vehtari et al. 2021, 1903.08008). */
typedef struct {
  double mean, std; /**< of all draws */
  double r_hat; /**< rank-normalised, split and folded; above 1.01 the chains have not mixed */
  double ess_bulk, ess_tail; /**< as many independent draws would tell as much of the middle, and of the 5% and 95%
                                quantiles */
} McmcDiagnostics;
/** The last three are NaN where draws are not finite or all the same.  \param value [chains][draws], without warm-up
 * Errors: NEPHRITE_ERR_CONFIG: no chains, or fewer than 8 draws of each. */
PetscErrorCode mcmc_diagnose(PetscInt chains, PetscInt draws, const double *value, McmcDiagnostics *diagnostics);
/** How well new momenta explore the energies: sum of (E_n - E_{n-1})^2 over sum of (E_n - mean)^2 of one chain
 * (Betancourt 2016, 1604.00695).  Below 0.3 they do badly.  \param energy [draws], without warm-up */
double mcmc_e_bfmi(PetscInt draws, const double *energy);

/** All that a farm of draws is made from; everything is borrowed. */
typedef struct {
  const Options *options;
  const CampaignConfig *campaign;
  const SurveyConfig *survey;
  const Prior *prior;
  const SimulateConfig *simulate;
  const TrainConfig *train;
  const InferConfig *infer;
} InferenceSetup;

/** Some draws for one observation whose truth is known, as they are made. */
typedef struct {
  int64_t observation; /**< 0 … observations-1 */
  PetscInt draws, parameters;
  size_t map_size; /**< bins ny nx */
  const float *kappa; /* [draws][map_size] */
  const double *theta; /* [draws][parameters] */
  const float *truth_kappa; /* [map_size] */
  const double *truth_theta; /* [parameters] */
} PosteriorDraws;

/** Numbers that are added up over the draws of an observation as these are made, so that drawn maps need not be kept.
 */
typedef struct {
  size_t size; /**< how many numbers */
  void *context; /**< for the functions */
  /** Add what the draws contribute.  \param[in,out] tally [size] */
  PetscErrorCode (*add)(void *context, const PosteriorDraws *draws, int64_t *tally);
  /** Declare and write them in the file of the observation.  \param tally [size] of all its draws */
  PetscErrorCode (*write)(void *context, const int64_t *tally, ProductWriter *writer);
} PosteriorTally;

/** Which files a farm makes: `<campaign>/<folder>/observation-00007.h5`, or one named as the user's file. */
typedef struct {
  const char *folder;
  int64_t keep_maps; /**< observations whose drawn maps are kept; a user's always are */
  const PosteriorTally *tally; /**< may be NULL */
} PosteriorFarm;

/** Draw for every observation of this run's share that has no file yet, or one drawn with another checkpoint; or
 * estimate its map, where that is the method.  Collective on \p comm.
 *
 * Observation o is held-out realisation simulate_realisations - train_held_out + o with noise keyed by it; its draw d
 * is a function of (seed, realisation, d) alone, up to rounding that depends on the batch it is drawn in, or with the
 * adaptive solver up to its tolerance.  Ranks take blocks of infer_batch draws from a queue; finished blocks are kept
 * by a run that is stopped. Errors: NEPHRITE_ERR_INTERRUPTED if asked to stop; NEPHRITE_ERR_INPUT if there is no sound
 * checkpoint, or it or finished files are of another configuration, or a user's observation does not fit;
 * NEPHRITE_ERR_CONFIG if fewer realisations are held out than observed; NEPHRITE_ERR_IO.
 * \param[out] absent  observations of other shares that are not there yet; 0 without shares */
PetscErrorCode posterior_farm(MPI_Comm comm, const InferenceSetup *setup, const PosteriorFarm *farm, int64_t *absent);
/** Where a task's files go: `posterior` or `coverage`, with the method's name behind it unless that is diffusion.
 * \param[out] folder [POSTERIOR_FOLDER_SIZE] */
void posterior_folder(const InferenceSetup *setup, char *folder);
enum { POSTERIOR_FOLDER_SIZE = 32 };
/** Observations that posterior_farm() makes: one if there is a user's file. */
int64_t posterior_count(const InferenceSetup *setup);
/** Draws of each of them; 0 where the method makes a map alone. */
PetscInt posterior_draws(const InferenceSetup *setup);
/** Draws of a block, the last of an observation excepted: those of a chain, or of a batch of the network. */
PetscInt posterior_block_draws(const InferenceSetup *setup);
/** `observation-00007.h5` in \p folder of the campaign.  \param[out] path [PETSC_MAX_PATH_LEN] */
PetscErrorCode posterior_path(const InferenceSetup *setup, const char *folder, int64_t observation, char *path);
enum { POSTERIOR_FORMAT = 2 }; /**< 2: drawn by infer_solver; in 1 all are Heun's */

/** Held-out realisations as observations take them: from the campaign's shards, or simulated where the training was
 * online. */
typedef struct TruthSource TruthSource;
PetscErrorCode truth_source_create(const InferenceSetup *setup, TruthSource **source);
/** \param observation 0 … infer_observations-1  \param[out] kappa [bins][ny][nx]  \param[out] theta [parameters] */
PetscErrorCode truth_source_get(TruthSource *source, int64_t observation, float *kappa, double *theta);
/** The realisation that an observation is of. */
int64_t truth_source_realisation(const InferenceSetup *setup, int64_t observation);
PetscErrorCode truth_source_destroy(TruthSource **source);

/** What a run of -task posterior or coverage takes. */
typedef struct {
  PetscBool trained; /**< there is a checkpoint; else the network is the configuration's */
  NetworkShape shape;
  NetworkEstimate network; /**< of a rank, with a batch of draws */
  int64_t observations;
  PetscInt draws, evaluations; /**< of an observation; of a draw, 0 if the adaptive solver decides */
  double flops; /**< in all; with the adaptive solver for one evaluation of each draw */
  double block_bytes; /**< per rank, of a block of draws */
  double file_bytes; /**< of all posterior files */
} InferenceEstimate;
/** \param network of the configuration  Errors: NEPHRITE_ERR_CONFIG as network_shape_check(); NEPHRITE_ERR_INPUT if
 * infer_checkpoint is given and cannot be read. */
PetscErrorCode inference_estimate(const InferenceSetup *setup, const NetworkConfig *network, int64_t keep_maps,
                                  InferenceEstimate *estimate);

#endif
