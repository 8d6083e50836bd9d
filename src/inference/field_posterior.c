/** \file field_posterior.c  log p(white noise, parameters | observation) and its gradient.  \ingroup inference */
#include "internal.h"

#include <math.h>

struct FieldPosterior {
  MPI_Comm comm; /* borrowed */
  PetscMPIInt rank;
  const Prior *prior; /* borrowed */
  PetscInt bins, planes; /* planes of the observation per bin: 2 of shear, 1 of convergence */
  size_t pixels, first_pixel, all_pixels; /* of a map: on this rank, before them, in all */
  PetscInt parameters; /* of theta */
  PetscInt sampled, place[NEPHRITE_MAX_PARAMETERS]; /* those that are not fixed, and where they stand in theta */
  Theory *theory;
  Emulator *emulator; /* borrowed; NULL: spectra are the theory's */
  Field *field;
  ShearTransform *shear; /* NULL for convergence */
  double *data; /* [bins][planes][pixels] */
  double *weight; /* [bins][pixels] 1/variance of a component, 0 where nothing is seen */
  double *kappa; /* [bins][pixels] */
  double *kappa_bar; /* the same: derivatives of log p by it */
  double *observed; /* [planes][pixels] of one bin without noise, then derivatives by it */
  LensingSpectra *spectra_bar;
  double theta[NEPHRITE_MAX_PARAMETERS], slope[NEPHRITE_MAX_PARAMETERS]; /* at hand; dtheta/du */
  double set[NEPHRITE_MAX_PARAMETERS]; /* theta of the field's spectra */
  PetscBool ready; /* has the field any? */
};

/* Each rank has the rows of a map that the field gives it. */
static PetscErrorCode create_transforms(const FieldShape *shape, FieldPosterior *p)
{
  PetscInt first_row, rows;

  PetscFunctionBeginUser;
  PetscCall(field_create(p->comm, shape, &p->field));
  PetscCall(field_record(p->field));
  if (p->planes == 2) PetscCall(shear_transform_create_slab(p->comm, shape->ny, shape->nx, &p->shear));
  field_slab(p->field, &first_row, &rows);
  p->pixels = (size_t)rows * (size_t)shape->nx;
  p->first_pixel = (size_t)first_row * (size_t)shape->nx;
  p->all_pixels = (size_t)shape->ny * (size_t)shape->nx;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode allocate(const SurveyConfig *survey, FieldPosterior *p)
{
  const size_t values = (size_t)p->bins * p->pixels, planes = (size_t)p->planes;
  PetscInt count;
  double *ell;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc5(planes * values, &p->data, values, &p->weight, values, &p->kappa, values, &p->kappa_bar,
                         planes * p->pixels, &p->observed));
  PetscCall(lensing_ell_table(survey, &count, &ell));
  PetscCall(PetscFree(ell));
  PetscCall(lensing_spectra_create(p->bins, count, &p->spectra_bar));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Of the whole observation the rows that are here. */
static PetscErrorCode take_observation(const Observation *observation, PetscBool of_pixels, FieldPosterior *p)
{
  const size_t pixels = p->pixels, all = p->all_pixels, planes = (size_t)p->planes;

  PetscFunctionBeginUser;
  for (size_t bin = 0; bin < (size_t)p->bins; bin++)
    for (size_t i = 0; i < pixels; i++) {
      const size_t pixel = p->first_pixel + i;
      const double std = observation->noise_std[of_pixels ? bin * all + pixel : bin];
      const PetscBool seen = !observation->mask || observation->mask[pixel] > 0 ? PETSC_TRUE : PETSC_FALSE;

      PetscCheck(std > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "noise_std of bin %zu is %.6g; it must be positive", bin,
                 std);
      p->weight[bin * pixels + i] = seen ? 1 / (std * std) : 0; /* 0 as well where std is infinite: no galaxy */
      for (size_t plane = 0; plane < planes; plane++) {
        const size_t at = (bin * planes + plane) * pixels + i;

        p->data[at] = p->weight[bin * pixels + i] > 0 ? observation->raw[(bin * planes + plane) * all + pixel] : 0;
      }
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create_arrays(const SurveyConfig *survey, const Observation *observation, FieldPosterior *p)
{
  PetscFunctionBeginUser;
  PetscCall(allocate(survey, p));
  PetscCall(take_observation(observation, survey->counts[0] ? PETSC_TRUE : PETSC_FALSE, p));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_posterior_create(MPI_Comm comm, const SurveyConfig *survey, const Prior *prior,
                                      const Observation *observation, FieldPosterior **posterior)
{
  const FieldShape shape = simulator_shape(survey);
  FieldPosterior *p = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&p));
  *posterior = p;
  p->comm = comm;
  PetscCallMPI(MPI_Comm_rank(comm, &p->rank));
  p->prior = prior;
  p->bins = survey->bins;
  p->planes = survey->observation == OBSERVATION_SHEAR ? 2 : 1;
  p->parameters = prior_count(prior);
  for (PetscInt i = 0; i < p->parameters; i++)
    if (!prior_is_fixed(prior, i)) p->place[p->sampled++] = i;
  PetscCall(theory_create(comm, survey, prior, &p->theory));
  PetscCall(create_transforms(&shape, p));
  PetscCall(group_agree(comm, create_arrays(survey, observation, p)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_posterior_destroy(FieldPosterior **posterior)
{
  FieldPosterior *p = *posterior;

  PetscFunctionBeginUser;
  if (!p) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(theory_destroy(&p->theory));
  PetscCall(field_destroy(&p->field));
  PetscCall(shear_transform_destroy(&p->shear));
  PetscCall(PetscFree5(p->data, p->weight, p->kappa, p->kappa_bar, p->observed));
  PetscCall(lensing_spectra_destroy(&p->spectra_bar));
  PetscCall(PetscFree(*posterior));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void field_posterior_use(FieldPosterior *posterior, Emulator *emulator)
{
  posterior->emulator = emulator;
  posterior->ready = PETSC_FALSE;
}

PetscInt field_posterior_parameters(const FieldPosterior *posterior)
{
  return posterior->sampled;
}

PetscInt field_posterior_dimension(const FieldPosterior *posterior)
{
  return posterior->sampled + posterior->bins * (PetscInt)posterior->pixels;
}

GroupShare field_posterior_share(const FieldPosterior *p)
{
  return (GroupShare){p->bins, (PetscInt)p->all_pixels, (PetscInt)p->first_pixel, (PetscInt)p->pixels};
}

PetscErrorCode field_posterior_pack(const FieldPosterior *p, const double *theta, const double *white, double *x)
{
  double u[NEPHRITE_MAX_PARAMETERS];

  PetscFunctionBeginUser;
  PetscCall(prior_to_normal(p->prior, theta, u));
  for (PetscInt i = 0; i < p->sampled; i++) x[i] = u[p->place[i]];
  PetscCall(PetscArraycpy(x + p->sampled, white, (size_t)p->bins * p->pixels));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* p->theta from the first coordinates, those of the first rank.  \param[out] finite  are they numbers? */
static PetscErrorCode set_theta(FieldPosterior *p, const double *x, PetscBool *finite)
{
  double u[NEPHRITE_MAX_PARAMETERS] = {0};

  PetscFunctionBeginUser;
  *finite = PETSC_TRUE;
  for (PetscInt i = 0; i < p->sampled; i++) {
    u[p->place[i]] = x[i];
    if (!isfinite(x[i])) *finite = PETSC_FALSE;
  }
  PetscCallMPI(MPI_Bcast(finite, 1, MPIU_BOOL, 0, p->comm));
  if (!*finite) PetscFunctionReturn(PETSC_SUCCESS);
  prior_from_normal(p->prior, u, p->theta, p->slope);
  PetscCallMPI(MPI_Bcast(p->theta, (int)p->parameters, MPI_DOUBLE, 0, p->comm));
  PetscCallMPI(MPI_Bcast(p->slope, (int)p->parameters, MPI_DOUBLE, 0, p->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* p->theta and the field's spectra from the first coordinates.  \param[out] exists  is there such a field? */
static PetscErrorCode set_parameters(FieldPosterior *p, const double *x, PetscBool *exists)
{
  const LensingSpectra *spectra;
  PetscBool finite;

  PetscFunctionBeginUser;
  *exists = PETSC_FALSE;
  PetscCall(set_theta(p, x, &finite));
  if (!finite) PetscFunctionReturn(PETSC_SUCCESS);
  PetscBool same = p->ready;
  for (PetscInt i = 0; i < p->parameters && same; i++) same = p->theta[i] == p->set[i] ? PETSC_TRUE : PETSC_FALSE;
  *exists = same;
  if (same) PetscFunctionReturn(PETSC_SUCCESS);
  p->ready = PETSC_FALSE;
  PetscCall(p->emulator ? emulator_evaluate(p->emulator, p->theta, &spectra)
                        : theory_evaluate(p->theory, p->theta, &spectra));
  if (!spectra) PetscFunctionReturn(PETSC_SUCCESS);
  const PetscErrorCode error = field_set_spectra(p->field, spectra);
  PetscCheck(!error || error == NEPHRITE_ERR_INPUT, PETSC_COMM_SELF, error, "%s", error_message());
  if (error) error_clear(); /* no log-normal field has these spectra: an expected result */
  if (error) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscArraycpy(p->set, p->theta, p->parameters));
  *exists = p->ready = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_posterior_unpack(FieldPosterior *p, const double *x, double *theta, double *kappa)
{
  PetscBool exists;

  PetscFunctionBeginUser;
  PetscCall(set_parameters(p, x, &exists));
  PetscCheck(exists, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "no field has these parameters");
  if (theta) PetscCall(PetscArraycpy(theta, p->theta, p->parameters));
  if (kappa) PetscCall(field_realise(p->field, x + p->sampled, kappa));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Gaussian log-likelihood of one bin, and its derivatives by the convergence. */
static PetscErrorCode observe_bin(FieldPosterior *p, PetscInt bin, double *log_likelihood)
{
  const size_t pixels = p->pixels;
  const double *const data = p->data + (size_t)(bin * p->planes) * pixels, *const weight =
                                                                               p->weight + (size_t)bin * pixels;
  double *const kappa = p->kappa + (size_t)bin * pixels, *const bar = p->kappa_bar + (size_t)bin * pixels;
  double *const observed = p->shear ? p->observed : bar;

  PetscFunctionBeginUser;
  if (p->shear)
    PetscCall(shear_from_convergence(p->shear, kappa, observed, observed + pixels));
  else
    PetscCall(PetscArraycpy(observed, kappa, pixels));
  for (size_t plane = 0; plane < (size_t)p->planes; plane++)
    for (size_t i = 0; i < pixels; i++) {
      const double residual = data[plane * pixels + i] - observed[plane * pixels + i];

      observed[plane * pixels + i] = weight[i] * residual;
      *log_likelihood -= weight[i] * residual * residual / 2;
    }
  /* gamma = (c, s) kappa per mode with real, even c and s: the adjoint is c gamma_1 + s gamma_2 */
  if (p->shear) PetscCall(shear_project(p->shear, observed, observed + pixels, bar, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Of the parameters, from the derivatives of the likelihood by the spectra. */
static PetscErrorCode differentiate_parameters(FieldPosterior *p, const double *x, double *gradient)
{
  double theta_bar[NEPHRITE_MAX_PARAMETERS];

  PetscFunctionBeginUser;
  PetscCall(p->emulator ? emulator_pull_back(p->emulator, p->spectra_bar, theta_bar)
                        : theory_pull_back(p->theory, p->spectra_bar, theta_bar));
  for (PetscInt i = 0; i < p->sampled; i++) gradient[i] = theta_bar[p->place[i]] * p->slope[p->place[i]] - x[i];
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_posterior_evaluate(void *posterior, const double *x, double *log_density, double *gradient)
{
  FieldPosterior *const p = posterior;
  const PetscInt sampled = p->sampled, dimension = field_posterior_dimension(p);
  PetscBool exists;

  PetscFunctionBeginUser;
  *log_density = -INFINITY;
  if (gradient) PetscCall(PetscArrayzero(gradient, dimension));
  PetscCall(set_parameters(p, x, &exists));
  if (!exists) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(field_realise(p->field, x + sampled, p->kappa));
  double sum = 0;
  for (PetscInt bin = 0; bin < p->bins; bin++) PetscCall(observe_bin(p, bin, &sum));
  for (PetscInt i = p->rank ? sampled : 0; i < dimension; i++) sum -= x[i] * x[i] / 2; /* parameters count once */
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, p->comm));
  if (!isfinite(sum)) PetscFunctionReturn(PETSC_SUCCESS); /* so far out that exponentials overflow */
  *log_density = sum;
  if (!gradient) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(field_pull_back(p->field, p->kappa_bar, gradient + sampled, sampled ? p->spectra_bar : NULL));
  for (PetscInt i = sampled; i < dimension; i++) gradient[i] -= x[i];
  if (sampled) PetscCall(differentiate_parameters(p, x, gradient));
  PetscFunctionReturn(PETSC_SUCCESS);
}
