/** \file inference.h
 * From an observation to draws of (map, parameters).  \defgroup inference Inference
 */
#ifndef NEPHRITE_INFERENCE_H
#define NEPHRITE_INFERENCE_H

#include "nephrite/training.h"

typedef enum { TASK_POSTERIOR, TASK_COVERAGE } InferTask;

/** How the last step of a draw ends (network.md, section 8). */
typedef enum {
  CLOSING_PREDICTION, /**< an Euler step onto the network's prediction: no noise is left; 2n - 1 evaluations */
  CLOSING_HEUN, /**< a Heun step like the others: 2n evaluations */
  CLOSING_PUBLISHED, /**< that, and one more Euler step with the velocity at t = 1 - 1/n: 2n + 1 evaluations */
} SamplerClosing;

/** The `infer` section of a campaign file, with -task and -observation. */
typedef struct {
  int task; /**< ::InferTask */
  char observation[OPTION_TEXT_SIZE]; /**< a user's file; "": held-out realisations of the campaign */
  char checkpoint[OPTION_TEXT_SIZE]; /**< "": best or newest of the campaign */
  PetscInt draws, observations, batch, evaluations;
  PetscInt keep_maps; /**< observations of -task coverage whose drawn maps are kept */
  int closing; /**< ::SamplerClosing */
  PetscInt centres, bootstraps; /**< of MIRA and TARP */
} InferConfig;
extern const OptionTable infer_options;

/** One observation as a user gives it or as simulated. */
typedef struct {
  ObservationKind kind;
  PetscInt bins, ny, nx;
  double field_of_view_deg;
  float *raw; /* [bins][2][ny][nx] shear or [bins][ny][nx] convergence */
  double *noise_std; /* [bins] */
  float *mask; /* [ny][nx] or NULL */
} Observation;
/** Read and check a user's file.  Errors: NEPHRITE_ERR_INPUT: missing datasets, NaN, another shape or pixel scale than
 * \p survey's, saying what would fit. */
PetscErrorCode observation_read(const char *path, const SurveyConfig *survey, Observation **observation);
PetscErrorCode observation_destroy(Observation **observation);

/** Draws from p(map, parameters | observation) by the probability-flow ODE (network.md, section 8). */
typedef struct Sampler Sampler;
/** \param batch draws at once  \param steps of equal length, at least 2 */
PetscErrorCode sampler_create(const Model *model, PetscInt batch, PetscInt steps, SamplerClosing closing,
                              Sampler **sampler);
/** The steps that at most \p evaluations of the network make with this closing. */
PetscInt sampler_steps(PetscInt evaluations, SamplerClosing closing);
/** Told of every finished step (1 … steps; one more for the closing Euler step), with z in normalised units. */
typedef PetscErrorCode (*SamplerMonitor)(void *context, PetscInt step, const Scalar *z, const Scalar *z_theta);
/** Integrate from given noise, in normalised units; every draw may have an observation of its own.
 * \param channels [draws][observation_channels][ny][nx]  \param draws at most the batch
 * \param[in,out] z [draws][bins][ny][nx]  \param[in,out] z_theta [draws][parameters]  \param monitor may be NULL
 * Errors: NEPHRITE_ERR_INTERNAL if a draw is not finite. */
PetscErrorCode sampler_integrate(Sampler *sampler, const Scalar *channels, PetscInt draws, Scalar *z, Scalar *z_theta,
                                 SamplerMonitor monitor, void *context);
/** Draws first … first+count-1 of observation \p observation, keyed by (seed, observation, draw), in physical units.
 * \param channels [observation_channels][ny][nx] from observer_present(), not normalised
 * \param[out] kappa [count][bins][ny][nx]  \param[out] theta [count][parameters] */
PetscErrorCode sampler_draw(Sampler *sampler, const float *channels, RandomKey observation, PetscInt first,
                            PetscInt count, float *kappa, double *theta);
PetscErrorCode sampler_destroy(Sampler **sampler);

/** Wiener filter of an unmasked observation with homogeneous white noise: the posterior mean of a Gaussian field, per
 * Fourier mode, all bins jointly.  A shear enters by its E-mode.  Modes without power or data (k = 0) come out 0.
 * \param survey  geometry, bins and kind of observation  \param spectra of the cosmology
 * \param noise_std [bins] per pixel and component  \param raw as in Observation  \param[out] kappa [bins][ny][nx]
 * Errors: NEPHRITE_ERR_INPUT: a noise_std that is not positive, or spectra that no field has. */
PetscErrorCode wiener_filter(const SurveyConfig *survey, const LensingSpectra *spectra, const double *noise_std,
                             const float *raw, float *kappa);

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

/** All draws for one observation, as they are about to be written. */
typedef struct {
  int64_t observation; /**< 0 … observations-1 */
  PetscInt draws, parameters;
  size_t map_size; /**< bins ny nx */
  const float *kappa; /* [draws][map_size] */
  const double *theta; /* [draws][parameters] */
  const float *truth_kappa; /* [map_size], NULL if not known */
  const double *truth_theta; /* [parameters], NULL if not known */
} PosteriorDraws;

/** Adds what it makes of the draws to their file, before that is published. */
typedef PetscErrorCode (*PosteriorSummary)(void *context, const PosteriorDraws *draws, ProductWriter *writer);

/** Draw for every observation that has no file yet: \p folder/observation-00007.h5 of the campaign, or one named as the
 * user's file.  Collective on \p comm.
 * \param keep_maps  observations whose drawn maps are kept  \param summary  may be NULL
 * Errors: NEPHRITE_ERR_INTERRUPTED if asked to stop, with what is finished kept. */
PetscErrorCode posterior_farm(MPI_Comm comm, const InferenceSetup *setup, const char *folder, int64_t keep_maps,
                              PosteriorSummary summary, void *context);
/** Observations that posterior_farm() makes without a user's file. */
int64_t posterior_count(const InferenceSetup *setup);
/** Truth of one of them.  \param[out] kappa [map_size], may be NULL  \param[out] theta [parameters], may be NULL */
PetscErrorCode posterior_truth(const InferenceSetup *setup, CampaignReader *reader, int64_t observation, float *kappa,
                               double *theta);
/** `observation-00007.h5` in \p folder of the campaign.  \param[out] path [PETSC_MAX_PATH_LEN] */
PetscErrorCode posterior_path(const InferenceSetup *setup, const char *folder, int64_t observation, char *path);
enum { POSTERIOR_FORMAT = 1 };

#endif
