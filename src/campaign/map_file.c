/** \file map_file.c  Maps made elsewhere, by a user's own simulations.  \ingroup campaign */
#include "campaign/internal.h"

#include <math.h>
#include <string.h>

struct MapFile {
  char path[PETSC_MAX_PATH_LEN];
  const SurveyConfig *survey;
  const Prior *prior;
  ProductReader *reader;
  hsize_t count;
};

static PetscErrorCode check_maps(MapFile *f)
{
  const SurveyConfig *s = f->survey;
  hsize_t shape[PRODUCT_MAX_RANK];
  double degrees;
  int rank;

  PetscFunctionBeginUser;
  PetscCall(product_shape(f->reader, "kappa", &rank, shape));
  PetscCheck(rank == 4 && shape[1] == (hsize_t)s->bins && shape[2] == (hsize_t)survey_ny(s) &&
                 shape[3] == (hsize_t)survey_nx(s),
             PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: kappa is not [map][bin][y][x] with %d bins of %d x %d pixels, as the survey has", f->path,
             (int)s->bins, (int)survey_ny(s), (int)survey_nx(s));
  f->count = shape[0];
  PetscCall(product_read_attribute_real(f->reader, NULL, "field_of_view", 1, &degrees));
  PetscCheck(fabs(degrees / s->field_of_view_deg - 1) < 1e-6, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: its maps are %.6g degrees wide; survey_field_of_view is %.6g", f->path, degrees,
             s->field_of_view_deg);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_parameters(MapFile *f)
{
  char wanted[1024], *found = NULL;
  hsize_t shape[PRODUCT_MAX_RANK];
  int rank;

  PetscFunctionBeginUser;
  PetscCall(prior_names(f->prior, wanted, sizeof wanted));
  PetscCall(product_shape(f->reader, "theta", &rank, shape));
  PetscCall(product_read_attribute_text(f->reader, "theta", "parameters", &found));
  const PetscBool same = strcmp(found, wanted) ? PETSC_FALSE : PETSC_TRUE;
  const PetscErrorCode error =
      same ? PETSC_SUCCESS
           : PetscError(PETSC_COMM_SELF, __LINE__, PETSC_FUNCTION_NAME, __FILE__, (PetscErrorCode)NEPHRITE_ERR_INPUT,
                        PETSC_ERROR_INITIAL, "%s: theta is of %s; of this prior it must be %s", f->path, found, wanted);
  PetscCall(PetscFree(found));
  PetscCall(error);
  PetscCheck(rank == 2 && shape[0] == f->count && shape[1] == (hsize_t)prior_count(f->prior), PETSC_COMM_SELF,
             NEPHRITE_ERR_INPUT, "%s: theta is not [map][parameter] = [%d][%d]", f->path, (int)f->count,
             (int)prior_count(f->prior));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode map_file_open(const char *path, const SurveyConfig *survey, const Prior *prior, MapFile **file)
{
  MapFile *f = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&f));
  *file = f;
  f->survey = survey;
  f->prior = prior;
  PetscCall(PetscStrncpy(f->path, path, sizeof f->path));
  PetscCall(product_open_foreign(path, &f->reader));
  PetscCall(check_maps(f));
  PetscCall(check_parameters(f));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_map(const MapFile *f, int64_t index, const float *kappa)
{
  const int ny = (int)survey_ny(f->survey), nx = (int)survey_nx(f->survey);

  PetscFunctionBeginUser;
  for (size_t i = 0; i < survey_map_values(f->survey); i++)
    PetscCheck(isfinite(kappa[i]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: kappa of map %lld is %.6g in bin %d at y %d, x %d; it must be finite", f->path, (long long)index,
               (double)kappa[i], (int)i / (ny * nx), (int)i / nx % ny, (int)i % nx);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A truth that the prior excludes would have no chance to be covered, and a parameter that it fixes is not inferred. */
static PetscErrorCode check_prior(const MapFile *f, int64_t index, const double *theta)
{
  char values[1024] = "";
  size_t used = 0;
  double density;

  PetscFunctionBeginUser;
  PetscCall(prior_log_density(f->prior, theta, &density));
  if (isfinite(density)) PetscFunctionReturn(PETSC_SUCCESS);
  for (PetscInt p = 0; p < prior_count(f->prior) && used < sizeof values; p++)
    used += (size_t)snprintf(values + used, sizeof values - used, "%s%s %.6g", p ? ", " : "", prior_name(f->prior, p),
                             theta[p]);
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: theta of map %lld is outside of the prior section: %s", f->path,
          (long long)index, values);
}

static PetscErrorCode check_universe(const MapFile *f, int64_t index, const double *theta)
{
  Cosmology cosmology;
  Systematics systematics;

  PetscFunctionBeginUser;
  PetscCall(prior_cosmology(f->prior, theta, &cosmology, &systematics));
  const PetscErrorCode error = cosmology_check(&cosmology);
  if (!error) PetscFunctionReturn(check_prior(f, index, theta));
  char reason[512];
  PetscCall(PetscStrncpy(reason, error_message(), sizeof reason));
  SETERRQ(PETSC_COMM_SELF, error, "%s: theta of map %lld: %s", f->path, (long long)index, reason);
}

PetscErrorCode map_file_get(MapFile *f, int64_t index, float *kappa, double *theta)
{
  PetscFunctionBeginUser;
  PetscCheck(index < (int64_t)f->count, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s has %lld maps; simulate_realisations asks for more", f->path, (long long)f->count);
  PetscCall(product_read(f->reader, "kappa", H5T_NATIVE_FLOAT, (hsize_t)index, 1, kappa));
  PetscCall(product_read(f->reader, "theta", H5T_NATIVE_DOUBLE, (hsize_t)index, 1, theta));
  PetscCall(check_map(f, index, kappa));
  PetscCall(check_universe(f, index, theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode map_file_close(MapFile **file)
{
  PetscFunctionBeginUser;
  if (!*file) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(product_close(&(*file)->reader));
  PetscCall(PetscFree(*file));
  PetscFunctionReturn(PETSC_SUCCESS);
}
