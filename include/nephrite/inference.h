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
/** \param batch draws at once  \param steps of Heun's method on the uniform grid */
PetscErrorCode sampler_create(const Model *model, PetscInt batch, PetscInt steps, SamplerClosing closing,
                              Sampler **sampler);
/** Integrate from given noise, in normalised units.  \param channels [observation_channels][ny][nx] normalised
 * \param[in,out] z [draws][bins][ny][nx]  \param[in,out] z_theta [draws][parameters]  \param draws at most the batch */
PetscErrorCode sampler_integrate(Sampler *sampler, const Scalar *channels, PetscInt draws, Scalar *z, Scalar *z_theta);
/** Draws first … first+count-1 of observation \p observation_index, keyed, in physical units.
 * \param channels from observer_present(), not normalised  \param[out] kappa [count][bins][ny][nx]  \param[out] theta
 */
PetscErrorCode sampler_draw(Sampler *sampler, const float *channels, int64_t seed, int64_t observation_index,
                            PetscInt first, PetscInt count, float *kappa, double *theta);
PetscErrorCode sampler_destroy(Sampler **sampler);

/** Wiener filter of an unmasked observation with homogeneous white noise: the posterior mean of a Gaussian field, per
 * Fourier mode, all bins jointly.  A shear enters by its E-mode.  Modes without power or data (k = 0) come out 0.
 * \param survey  geometry, bins and kind of observation  \param spectra of the cosmology
 * \param noise_std [bins] per pixel and component  \param raw as in Observation  \param[out] kappa [bins][ny][nx]
 * Errors: NEPHRITE_ERR_INPUT: a noise_std that is not positive, or spectra that no field has. */
PetscErrorCode wiener_filter(const SurveyConfig *survey, const LensingSpectra *spectra, const double *noise_std,
                             const float *raw, float *kappa);

/** -task posterior and -task coverage: farm observations and draws over the ranks of \p comm, write posterior files and
 * calibration.  Collective. */
PetscErrorCode inference_run(MPI_Comm comm, const Options *options, const CampaignConfig *campaign,
                             const SurveyConfig *survey, const Prior *prior, const SimulateConfig *simulate,
                             const TrainConfig *train, const InferConfig *infer);

#endif
