/** \file observation.c  A user's own observation: read, and refused unless the model can use it.  \ingroup inference */
#include "nephrite/inference.h"

#include <math.h>
#include <string.h>

static PetscErrorCode refuse_shape(const char *path, const char *dataset, const SurveyConfig *survey, int rank,
                                   const hsize_t *shape)
{
  char found[128] = "";
  const PetscBool shear = survey->observation == OBSERVATION_SHEAR ? PETSC_TRUE : PETSC_FALSE;

  PetscFunctionBeginUser;
  for (int axis = 0; axis < rank; axis++)
    snprintf(found + strlen(found), sizeof found - strlen(found), "%s%llu", axis ? ", " : "",
             (unsigned long long)shape[axis]);
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
          "%s: %s has shape [%s]; this model takes %s[%" PetscInt_FMT ", %s%" PetscInt_FMT ", %" PetscInt_FMT
          "] over %g deg",
          path, dataset, found, shear ? "shear" : "convergence", survey->bins, shear ? "2, " : "", survey_ny(survey),
          survey_nx(survey), survey->field_of_view_deg);
}

/* The first value that is no number, with its place. */
static PetscErrorCode check_finite(const char *path, const char *dataset, const Observation *o, size_t count)
{
  const size_t nx = (size_t)o->nx, ny = (size_t)o->ny;

  PetscFunctionBeginUser;
  for (size_t i = 0; i < count; i++)
    PetscCheck(isfinite(o->raw[i]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: %s holds %g at map %zu, y %zu, x %zu; mask such pixels and set them to 0", path, dataset,
               (double)o->raw[i], i / (nx * ny), i / nx % ny, i % nx);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_maps(ProductReader *reader, const char *path, const SurveyConfig *survey, Observation *o)
{
  const PetscBool shear = o->kind == OBSERVATION_SHEAR ? PETSC_TRUE : PETSC_FALSE;
  const char *dataset = shear ? "shear" : "convergence";
  const size_t count = (size_t)(o->bins * (shear ? 2 : 1) * o->ny * o->nx);
  hsize_t shape[PRODUCT_MAX_RANK] = {0};
  int rank = 0;
  PetscBool has;

  PetscFunctionBeginUser;
  PetscCall(product_has(reader, dataset, &has));
  PetscCheck(has, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: has no dataset %s, which this model observes", path,
             dataset);
  PetscCall(product_shape(reader, dataset, &rank, shape));
  const PetscBool fits = rank == (shear ? 4 : 3) && shape[0] == (hsize_t)o->bins && (!shear || shape[1] == 2) &&
                                 shape[rank - 2] == (hsize_t)o->ny && shape[rank - 1] == (hsize_t)o->nx
                             ? PETSC_TRUE
                             : PETSC_FALSE;
  if (!fits) PetscCall(refuse_shape(path, dataset, survey, rank, shape));
  PetscCall(PetscMalloc1(count, &o->raw));
  PetscCall(product_read(reader, dataset, H5T_NATIVE_FLOAT, 0, shape[0], o->raw));
  PetscCall(check_finite(path, dataset, o, count));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One number per bin, or a map per bin that has to be the same everywhere. */
static PetscErrorCode read_noise(ProductReader *reader, const char *path, const SurveyConfig *survey, Observation *o)
{
  const double trained = survey_noise_std(survey);
  hsize_t shape[PRODUCT_MAX_RANK] = {0};
  size_t per_bin = 1;
  double *values = NULL;
  int rank = 0;

  PetscFunctionBeginUser;
  PetscCall(product_shape(reader, "noise_std", &rank, shape));
  for (int axis = 1; axis < rank; axis++) per_bin *= shape[axis];
  PetscCheck((rank == 1 || (rank == 3 && per_bin == (size_t)(o->ny * o->nx))) && shape[0] == (hsize_t)o->bins,
             PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: noise_std must be noise_std[%" PetscInt_FMT "] or a map for each bin", path, o->bins);
  PetscCall(PetscMalloc1(o->bins, &o->noise_std));
  PetscCall(PetscMalloc1((size_t)o->bins * per_bin, &values));
  PetscErrorCode error = product_read(reader, "noise_std", H5T_NATIVE_DOUBLE, 0, shape[0], values);
  for (size_t i = 0; i < (size_t)o->bins * per_bin && !error; i++) {
    o->noise_std[i / per_bin] = values[i];
    if (!(fabs(values[i] / trained - 1) <= 0.01))
      error = PetscError(PETSC_COMM_SELF, __LINE__, PETSC_FUNCTION_NAME, __FILE__, NEPHRITE_ERR_INPUT,
                         PETSC_ERROR_INITIAL, "%s: noise_std is %g in bin %d; this model was trained at %g", path,
                         values[i], (int)(i / per_bin), trained);
  }
  PetscCall(PetscFree(values));
  PetscFunctionReturn(error);
}

static PetscErrorCode read_mask(ProductReader *reader, const char *path, Observation *o)
{
  hsize_t shape[PRODUCT_MAX_RANK] = {0};
  int rank = 0;
  PetscBool has;

  PetscFunctionBeginUser;
  PetscCall(product_has(reader, "mask", &has));
  if (!has) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(product_shape(reader, "mask", &rank, shape));
  PetscCheck(rank == 2 && shape[0] == (hsize_t)o->ny && shape[1] == (hsize_t)o->nx, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: mask must be mask[%" PetscInt_FMT ", %" PetscInt_FMT "] like the maps", path, o->ny, o->nx);
  PetscCall(PetscMalloc1((size_t)(o->ny * o->nx), &o->mask));
  PetscCall(product_read(reader, "mask", H5T_NATIVE_FLOAT, 0, shape[0], o->mask));
  for (PetscInt i = 0; i < o->ny * o->nx; i++)
    PetscCheck(o->mask[i] == 0 || o->mask[i] == 1, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: mask[%" PetscInt_FMT ", %" PetscInt_FMT "] is %g; 1 is observed, 0 is not", path, i / o->nx,
               i % o->nx, (double)o->mask[i]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_observation(ProductReader *reader, const char *path, const SurveyConfig *survey,
                                       Observation *o)
{
  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_real(reader, NULL, "field_of_view", 1, &o->field_of_view_deg));
  PetscCall(read_maps(reader, path, survey, o));
  const double arcmin = 60 * o->field_of_view_deg / (double)o->nx,
               trained = 60 * survey->field_of_view_deg / (double)o->nx;
  PetscCheck(fabs(arcmin / trained - 1) < 1e-3, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: its pixels are %g arcmin (field_of_view %g deg); this model takes pixels of %g arcmin (%g deg)", path,
             arcmin, o->field_of_view_deg, trained, survey->field_of_view_deg);
  PetscCall(read_noise(reader, path, survey, o));
  PetscCall(read_mask(reader, path, o));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode observation_read(const char *path, const SurveyConfig *survey, Observation **observation)
{
  Observation *o = NULL;
  ProductReader *reader = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&o));
  *observation = o;
  o->kind = (ObservationKind)survey->observation;
  o->bins = survey->bins;
  o->ny = survey_ny(survey);
  o->nx = survey_nx(survey);
  error = product_open_foreign(path, &reader);
  if (!error) error = read_observation(reader, path, survey, o);
  PetscCall(product_close(&reader));
  PetscFunctionReturn(error);
}

PetscErrorCode observation_destroy(Observation **observation)
{
  PetscFunctionBeginUser;
  if (!*observation) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree((*observation)->raw));
  PetscCall(PetscFree((*observation)->noise_std));
  PetscCall(PetscFree((*observation)->mask));
  PetscCall(PetscFree(*observation));
  PetscFunctionReturn(PETSC_SUCCESS);
}
