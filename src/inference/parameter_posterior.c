/** \file parameter_posterior.c  The posterior of the parameters, given an observed Gaussian field.  \ingroup inference
 */
#include "inference/internal.h"

#include <math.h>

struct ParameterPosterior {
  const Prior *prior; /* borrowed */
  Emulator *emulator; /* borrowed; NULL: spectra are the model's */
  LensingModel *lensing;
  LensingSpectra *spectra;
  ModeLikelihood *likelihood;
};

PetscErrorCode parameter_posterior_create(const SurveyConfig *survey, const Prior *prior,
                                          const Observation *observation, ParameterPosterior **posterior)
{
  ParameterPosterior *p = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&p));
  *posterior = p;
  p->prior = prior;
  PetscCheck(survey->field == FIELD_GAUSSIAN, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "survey_field is not gaussian: the likelihood of parameters is known of Gaussian fields only");
  PetscCheck(constraint_solver_for(survey, observation).method == CONSTRAINT_BY_MODE, PETSC_COMM_SELF,
             NEPHRITE_ERR_INPUT,
             "pixels are masked or differ in noise: the likelihood of parameters is known where all are seen alike");
  PetscCall(lensing_model_for_survey(survey, &p->lensing));
  PetscCall(lensing_model_spectra_create(p->lensing, &p->spectra));
  double noise_std[NEPHRITE_MAX_BINS];
  const size_t stride = survey->counts[0] ? (size_t)survey_ny(survey) * (size_t)survey_nx(survey) : 1;
  for (PetscInt bin = 0; bin < survey->bins; bin++) noise_std[bin] = observation->noise_std[(size_t)bin * stride];
  PetscCall(mode_likelihood_create(survey, noise_std, observation->raw, &p->likelihood));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void parameter_posterior_use(ParameterPosterior *posterior, Emulator *emulator)
{
  posterior->emulator = emulator;
}

/* \param[out] spectra  NULL where the emulator knows of none */
static PetscErrorCode evaluate_spectra(ParameterPosterior *p, const double *theta, const LensingSpectra **spectra)
{
  Cosmology cosmology;
  Systematics systematics;

  PetscFunctionBeginUser;
  *spectra = p->spectra;
  if (p->emulator) {
    PetscCall(emulator_evaluate(p->emulator, theta, spectra));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(prior_cosmology(p->prior, theta, &cosmology, &systematics));
  PetscCall(lensing_model_evaluate(p->lensing, &cosmology, &systematics, p->spectra, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A universe that the simulator would draw anew, because it has no spectra or no field, is outside the prior. */
PetscErrorCode parameter_posterior_evaluate(ParameterPosterior *p, const double *theta, double *log_density)
{
  const LensingSpectra *spectra = NULL;
  double log_likelihood = -INFINITY;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(prior_log_density(p->prior, theta, log_density));
  if (isinf(*log_density)) PetscFunctionReturn(PETSC_SUCCESS);
  error = evaluate_spectra(p, theta, &spectra);
  if (!error && spectra) error = mode_likelihood_evaluate(p->likelihood, spectra, &log_likelihood);
  if (error == NEPHRITE_ERR_INPUT) {
    error_clear();
    *log_density = -INFINITY;
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(error);
  *log_density += log_likelihood;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode parameter_posterior_destroy(ParameterPosterior **posterior)
{
  PetscFunctionBeginUser;
  if (!*posterior) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(mode_likelihood_destroy(&(*posterior)->likelihood));
  PetscCall(lensing_spectra_destroy(&(*posterior)->spectra));
  PetscCall(lensing_model_destroy(&(*posterior)->lensing));
  PetscCall(PetscFree(*posterior));
  PetscFunctionReturn(PETSC_SUCCESS);
}
