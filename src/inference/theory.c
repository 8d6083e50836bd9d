/** \file theory.c  Spectra and shifts as functions of the parameters, with derivatives by differences.
 * \ingroup inference */
#include "internal.h"

/* Steps are this share of the prior's standard deviation.  Spectra are functions of the parameters smooth to rounding
 * within the cells of their tables, and what rounding leaves, 1e-14, is 3e-10 of a difference; the third derivative,
 * 1e-9.  Longer steps cross from cell to cell of the tables, where the slope jumps by up to 1e-6. */
#define STEP 3e-5

struct Theory {
  const Prior *prior; /* borrowed */
  LensingModel *model;
  PetscInt parameters, pairs;
  double step[NEPHRITE_MAX_PARAMETERS]; /* 0 where fixed */
  double theta[NEPHRITE_MAX_PARAMETERS]; /* of the spectra */
  LensingSpectra *spectra, *one, *two; /* at theta, and work space */
  LensingSpectra *slope[NEPHRITE_MAX_PARAMETERS]; /* derivatives by each parameter that is not fixed */
  PetscBool known, differentiated; /* are spectra and slope those of theta? */
};

PetscErrorCode theory_create(const SurveyConfig *survey, const Prior *prior, Theory **theory)
{
  double mean[NEPHRITE_MAX_PARAMETERS], std[NEPHRITE_MAX_PARAMETERS];
  Theory *t = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&t));
  *theory = t;
  t->prior = prior;
  t->parameters = prior_count(prior);
  t->pairs = survey->bins * (survey->bins + 1) / 2;
  PetscCall(lensing_model_for_survey(survey, &t->model));
  PetscCall(lensing_model_spectra_create(t->model, &t->spectra));
  PetscCall(lensing_model_spectra_create(t->model, &t->one));
  PetscCall(lensing_model_spectra_create(t->model, &t->two));
  PetscCall(prior_moments(prior, mean, std));
  for (PetscInt p = 0; p < t->parameters; p++) {
    if (prior_is_fixed(prior, p)) continue;
    t->step[p] = STEP * std[p];
    PetscCall(lensing_model_spectra_create(t->model, &t->slope[p]));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* That there are none is an expected result.  \param[out] exist */
static PetscErrorCode evaluate(Theory *t, const double *theta, LensingSpectra *spectra, PetscBool *exist)
{
  Cosmology cosmology;
  Systematics systematics;

  PetscFunctionBeginUser;
  PetscCall(prior_cosmology(t->prior, theta, &cosmology, &systematics));
  *exist = cosmology_is_physical(&cosmology);
  if (!*exist) PetscFunctionReturn(PETSC_SUCCESS);
  const PetscErrorCode error = lensing_model_evaluate(t->model, &cosmology, &systematics, spectra, NULL);
  PetscCheck(!error || error == NEPHRITE_ERR_INPUT, PETSC_COMM_SELF, error, "%s", error_message());
  if (error) error_clear();
  *exist = error ? PETSC_FALSE : PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode theory_evaluate(Theory *t, const double *theta, const LensingSpectra **spectra)
{
  PetscBool same = t->known;

  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < t->parameters && same; p++) same = t->theta[p] == theta[p] ? PETSC_TRUE : PETSC_FALSE;
  if (!same) {
    t->differentiated = PETSC_FALSE;
    PetscCall(PetscArraycpy(t->theta, theta, t->parameters));
    t->known = PETSC_FALSE; /* should evaluate() fail */
    PetscCall(evaluate(t, theta, t->spectra, &t->known));
  }
  *spectra = t->known ? t->spectra : NULL;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* slope = weight (a - b), or added to. */
static void difference(const LensingSpectra *a, const LensingSpectra *b, double weight, InsertMode mode,
                       LensingSpectra *slope)
{
  const PetscInt powers = slope->bins * (slope->bins + 1) / 2 * slope->ell_count;

  for (PetscInt i = 0; i < powers; i++)
    slope->power[i] = (mode == ADD_VALUES ? slope->power[i] : 0) + weight * (a->power[i] - b->power[i]);
  for (PetscInt i = 0; i < slope->bins; i++)
    slope->shift[i] = (mode == ADD_VALUES ? slope->shift[i] : 0) + weight * (a->shift[i] - b->shift[i]);
}

/* One parameter: (f(h) - f(-h))/2h, or at the edge of what is physical (4 f(h) - f(2h) - 3 f(0))/2h with either sign of
 * h. */
static PetscErrorCode differentiate_parameter(Theory *t, PetscInt p)
{
  double theta[NEPHRITE_MAX_PARAMETERS];
  PetscBool above, below, beyond;

  PetscFunctionBeginUser;
  PetscCall(PetscArraycpy(theta, t->theta, t->parameters));
  theta[p] = t->theta[p] + t->step[p];
  const double up = theta[p] - t->theta[p]; /* as it came out in doubles */
  PetscCall(evaluate(t, theta, t->one, &above));
  theta[p] = t->theta[p] - t->step[p];
  const double down = t->theta[p] - theta[p];
  PetscCall(evaluate(t, theta, t->two, &below));
  if (above && below) {
    difference(t->one, t->two, 1 / (up + down), INSERT_VALUES, t->slope[p]);
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  const double h = above ? t->step[p] : -t->step[p];
  const LensingSpectra *const near = above ? t->one : t->two;
  LensingSpectra *const far = above ? t->two : t->one;
  theta[p] = t->theta[p] + 2 * h;
  PetscCall(evaluate(t, theta, far, &beyond));
  PetscCheck((above || below) && beyond, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s = %.9g is physical, but nothing on either side of it", prior_name(t->prior, p), t->theta[p]);
  difference(near, t->spectra, 2 / h, INSERT_VALUES, t->slope[p]);
  difference(far, t->spectra, -0.5 / h, ADD_VALUES, t->slope[p]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode theory_pull_back(Theory *t, const LensingSpectra *bar, double *theta_bar)
{
  const PetscInt powers = t->pairs * bar->ell_count;

  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < t->parameters && !t->differentiated; p++)
    if (t->slope[p]) PetscCall(differentiate_parameter(t, p));
  t->differentiated = PETSC_TRUE;
  for (PetscInt p = 0; p < t->parameters; p++) {
    theta_bar[p] = 0;
    if (!t->slope[p]) continue;
    for (PetscInt i = 0; i < powers; i++) theta_bar[p] += bar->power[i] * t->slope[p]->power[i];
    for (PetscInt i = 0; i < bar->bins; i++) theta_bar[p] += bar->shift[i] * t->slope[p]->shift[i];
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode theory_destroy(Theory **theory)
{
  Theory *t = *theory;

  PetscFunctionBeginUser;
  if (!t) PetscFunctionReturn(PETSC_SUCCESS);
  for (PetscInt p = 0; p < t->parameters; p++) PetscCall(lensing_spectra_destroy(&t->slope[p]));
  PetscCall(lensing_spectra_destroy(&t->spectra));
  PetscCall(lensing_spectra_destroy(&t->one));
  PetscCall(lensing_spectra_destroy(&t->two));
  PetscCall(lensing_model_destroy(&t->model));
  PetscCall(PetscFree(*theory));
  PetscFunctionReturn(PETSC_SUCCESS);
}
