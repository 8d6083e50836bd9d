/** \file source_bins.c  Redshift distributions of the tomographic bins.  \ingroup lensing */
#include "internal.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ tables */

static PetscErrorCode allocate(PetscInt bins, PetscInt count, SourceBins **source_bins)
{
  SourceBins *s = NULL;

  PetscFunctionBeginUser;
  PetscCheck(bins >= 1 && bins <= NEPHRITE_MAX_BINS, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "n(z) has %d bins; there may be 1 to %d", (int)bins, NEPHRITE_MAX_BINS);
  PetscCheck(count >= 2, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "n(z) has %d redshifts; it needs at least 2", (int)count);
  PetscCall(PetscNew(&s));
  *source_bins = s; /* handed over at once: source_bins_destroy() frees it whatever fails below */
  s->bins = bins;
  s->count = count;
  PetscCall(PetscMalloc2((size_t)count, &s->z, (size_t)bins * (size_t)count, &s->density));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check(const SourceBins *s)
{
  const double z_limit = 30, first = s->z[0], last = s->z[s->count - 1];

  PetscFunctionBeginUser;
  PetscCheck(first >= 0 && last <= z_limit, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "n(z) covers z = %.6g to %.6g; it must lie within 0 and %.6g", first, last, z_limit);
  for (PetscInt k = 1; k < s->count; k++)
    PetscCheck(s->z[k] > s->z[k - 1], PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "n(z): redshift %d is %.6g after %.6g; redshifts must increase", (int)k, s->z[k], s->z[k - 1]);
  for (PetscInt i = 0; i < s->bins * s->count; i++)
    PetscCheck(s->density[i] >= 0 && isfinite(s->density[i]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "n(z) of bin %d at z = %.6g is %.6g; it must not be negative", (int)(i / s->count), s->z[i % s->count],
               s->density[i]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Check a table just filled and bring each bin to unit integral, by trapezoids: exact for a function that is linear
 * between its points. */
static PetscErrorCode complete(SourceBins *s)
{
  PetscFunctionBeginUser;
  PetscCall(check(s));
  for (PetscInt i = 0; i < s->bins; i++) {
    double *density = s->density + i * s->count, integral = 0;

    for (PetscInt k = 1; k < s->count; k++) integral += (s->z[k] - s->z[k - 1]) * (density[k] + density[k - 1]) / 2;
    PetscCheck(integral > 0 && isfinite(1 / integral), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "n(z) of bin %d integrates to %.6g; a bin needs galaxies", (int)i, integral);
    for (PetscInt k = 0; k < s->count; k++) density[k] /= integral;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode source_bins_from_table(PetscInt bins, PetscInt count, const double *z, const double *n_of_z,
                                      SourceBins **source_bins)
{
  PetscFunctionBeginUser;
  PetscCall(allocate(bins, count, source_bins));
  memcpy((*source_bins)->z, z, (size_t)count * sizeof *z);
  memcpy((*source_bins)->density, n_of_z, (size_t)(bins * count) * sizeof *n_of_z);
  PetscCall(complete(*source_bins));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscInt source_bins_count(const SourceBins *bins)
{
  return bins->bins;
}

double source_bins_z_max(const SourceBins *bins)
{
  return bins->z[bins->count - 1];
}

double source_bins_density(const SourceBins *bins, PetscInt bin, double z)
{
  const double *n = bins->density + bin * bins->count;
  PetscInt low = 0, high = bins->count - 1;

  if (!(z >= bins->z[low] && z <= bins->z[high])) return 0;
  while (high - low > 1) {
    const PetscInt middle = (low + high) / 2;

    if (bins->z[middle] <= z)
      low = middle;
    else
      high = middle;
  }
  const double t = (z - bins->z[low]) / (bins->z[high] - bins->z[low]);
  return (1 - t) * n[low] + t * n[high];
}

PetscErrorCode source_bins_destroy(SourceBins **bins)
{
  PetscFunctionBeginUser;
  if (*bins) {
    PetscCall(PetscFree2((*bins)->z, (*bins)->density));
    PetscCall(PetscFree(*bins));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ Smail distribution in equal-number bins */

/* Parent p(z) of all sources, any normalisation (Smail et al. 1994). */
static double parent(const SurveyConfig *survey, double z)
{
  return pow(z, survey->smail_beta) * exp(-pow(z / survey->smail_z0, survey->smail_alpha));
}

/* Three-point Gauss-Legendre over [left, left + width]. */
static double parent_integral(const SurveyConfig *survey, double left, double width)
{
  const double offset = sqrt(0.6) / 2;

  return width / 18 *
         (5 * parent(survey, left + width * (0.5 - offset)) + 8 * parent(survey, left + width / 2) +
          5 * parent(survey, left + width * (0.5 + offset)));
}

PetscErrorCode survey_bin_edges(const SurveyConfig *survey, double *edges)
{
  enum { CELLS = 8192 };
  const double width = NEPHRITE_SMAIL_Z_MAX / CELLS;
  double total = 0, below = 0;
  PetscInt next = 1;

  PetscFunctionBeginUser;
  for (int c = 0; c < CELLS; c++) total += parent_integral(survey, c * width, width);
  PetscCheck(total > 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "survey_smail_z0 %.6g, survey_smail_alpha %.6g, survey_smail_beta %.6g leave no galaxies below z = %.6g",
             survey->smail_z0, survey->smail_alpha, survey->smail_beta, NEPHRITE_SMAIL_Z_MAX);
  edges[0] = 0;
  edges[survey->bins] = NEPHRITE_SMAIL_Z_MAX;
  for (int c = 0; c < CELLS; c++) {
    const double here = parent_integral(survey, c * width, width);

    for (; next < survey->bins && below + here >= total * (double)next / survey->bins; next++) {
      const double wanted = total * (double)next / survey->bins - below;
      double part = wanted / here * width; /* Newton, from p(z) constant in the cell */

      for (int iteration = 0; iteration < 5; iteration++) {
        const double slope = parent(survey, c * width + part);

        if (slope > 0) part -= (parent_integral(survey, c * width, part) - wanted) / slope;
      }
      edges[next] = c * width + part;
    }
    below += here;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Probability that a galaxy at z is put between the edges: (erf(b) - erf(a))/2, from the side where it is not 1 - 1. */
static double share_within(double z, double z_low, double z_high, double scatter)
{
  const double scale = 1 / (M_SQRT2 * scatter * (1 + z)), a = (z_low - z) * scale, b = (z_high - z) * scale;

  return a > 0 ? (erfc(a) - erfc(b)) / 2 : b < 0 ? (erfc(-b) - erfc(-a)) / 2 : (erf(b) - erf(a)) / 2;
}

/* DESC SRD (1809.01669): n_i(z) ~ p(z) [erf((z_hi - z)/(sqrt2 sigma_z)) - erf((z_lo - z)/(sqrt2 sigma_z))]/2. */
static PetscErrorCode smail_bins(const SurveyConfig *survey, SourceBins **bins)
{
  /* Equal steps in ln(1+z), as the scatter grows with 1 + z: 40 to sigma_z for LSST, never less than 8. */
  const double range = log1p(NEPHRITE_SMAIL_Z_MAX);
  const PetscInt count = 1 + PetscMax(2048, (PetscInt)(8 * range / survey->photoz_scatter));
  double edges[NEPHRITE_MAX_BINS + 1];

  PetscFunctionBeginUser;
  PetscCall(survey_bin_edges(survey, edges));
  PetscCall(allocate(survey->bins, count, bins));
  for (PetscInt k = 0; k < count; k++) {
    const double z = k + 1 < count ? expm1(range * (double)k / (double)(count - 1)) : NEPHRITE_SMAIL_Z_MAX;

    (*bins)->z[k] = z;
    for (PetscInt i = 0; i < survey->bins; i++)
      (*bins)->density[i * count + k] =
          parent(survey, z) * share_within(z, edges[i], edges[i + 1], survey->photoz_scatter);
  }
  PetscCall(complete(*bins));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ a user's file */

enum { MOST_REDSHIFTS = 1 << 20 };

static PetscErrorCode read_bins(ProductReader *reader, const SurveyConfig *survey, SourceBins **bins)
{
  int z_rank, n_rank;
  hsize_t z_shape[PRODUCT_MAX_RANK], n_shape[PRODUCT_MAX_RANK];

  PetscFunctionBeginUser;
  PetscCall(product_shape(reader, "z", &z_rank, z_shape));
  PetscCall(product_shape(reader, "n_of_z", &n_rank, n_shape));
  PetscCheck(z_rank == 1 && n_rank == 2 && n_shape[1] == z_shape[0] && z_shape[0] <= MOST_REDSHIFTS, PETSC_COMM_SELF,
             NEPHRITE_ERR_INPUT, "%s: z and n_of_z must have shapes [count] and [bins][count], of at most %d redshifts",
             survey->n_of_z, MOST_REDSHIFTS);
  PetscCheck(n_shape[0] == (hsize_t)survey->bins, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: n_of_z has %d bins, survey_bins is %d", survey->n_of_z, (int)n_shape[0], (int)survey->bins);
  PetscCall(allocate(survey->bins, (PetscInt)z_shape[0], bins));
  PetscCall(product_read(reader, "z", H5T_NATIVE_DOUBLE, 0, z_shape[0], (*bins)->z));
  PetscCall(product_read(reader, "n_of_z", H5T_NATIVE_DOUBLE, 0, n_shape[0], (*bins)->density));
  PetscCall(complete(*bins));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode bins_from_file(const SurveyConfig *survey, SourceBins **bins)
{
  ProductReader *reader = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = product_open_foreign(survey->n_of_z, &reader);
  if (!error) error = read_bins(reader, survey, bins);
  PetscCall(product_close(&reader));
  PetscCall(error);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode source_bins_create(const SurveyConfig *survey, SourceBins **bins)
{
  PetscFunctionBeginUser;
  if (survey->n_of_z[0])
    PetscCall(bins_from_file(survey, bins));
  else
    PetscCall(smail_bins(survey, bins));
  PetscFunctionReturn(PETSC_SUCCESS);
}
