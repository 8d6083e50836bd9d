/** \file mode_likelihood.c  The likelihood of a cosmology, given an observed Gaussian field.  \ingroup inference
 *
 * In Fourier space an observation of the whole periodic map with white noise is independent from mode to mode, and
 * normal with covariance C = v P(k) + N over the bins, v the visibility of the mode in shear.  So (Bond, Jaffe & Knox
 * 1998, eq. 2.1, for one mode)
 *
 *   -2 ln p = sum over modes of d^H C^-1 d + ln det C + bins ln 2 pi,
 *
 * where modes of the same |k| and visibility have the same C: their sum is tr C^-1 D + weight ln det C with D the sum
 * of their d d^H.  These D are all that is kept of the observation.  The map's mean and the B-mode of shear are noise
 * whatever the cosmology; they are added so that ln p is the density of the observed numbers.
 */
#include "inference/modes.h"
#include "nephrite/field.h"
#include "nephrite/inference.h"

#include <math.h>
#include <stdlib.h>

/* Visibilities that differ by no more than rounding are one. */
#define SAME_VISIBILITY 1e-10

typedef struct {
  int64_t k2; /* (nx ny)^2 times |k|^2 in squared cycles per pixel: exact, so that equal ones are found */
  double visibility;
  size_t mode;
} Ranked;

/* Modes that share a covariance. */
typedef struct {
  size_t mode; /* one of them */
  double visibility, weight; /* weight: how many of the ny nx modes of a map */
} Band;

struct ModeLikelihood {
  ModeGrid grid;
  size_t bands;
  Band *band; /* [bands] */
  double *square; /* [bands][bins][bins] D, the real part */
  double *power; /* [bins(bins+1)/2][ny][columns] work */
  double noise_variance[NEPHRITE_MAX_BINS]; /* [bins] */
  double noise_alone; /* -2 ln p of what is noise whatever the cosmology */
};

static int by_wavenumber(const void *left, const void *right)
{
  const Ranked *const a = left, *const b = right;

  if (a->k2 != b->k2) return a->k2 < b->k2 ? -1 : 1;
  if (a->visibility != b->visibility) return a->visibility < b->visibility ? -1 : 1;
  return a->mode < b->mode ? -1 : a->mode > b->mode;
}

/* The modes that are seen, ordered so that those of a band follow each other.  \returns how many */
static size_t rank_modes(const ModeGrid *g, Ranked *ranked)
{
  size_t seen = 0;

  for (size_t mode = 0; mode < g->modes; mode++) {
    const int64_t y = fourier_frequency((PetscInt)(mode / (size_t)g->columns), g->ny);
    const int64_t x = (int64_t)(mode % (size_t)g->columns), ky = y * g->nx, kx = x * g->ny;
    const double visibility = mode_visibility(g, mode);

    if (visibility > 0) ranked[seen++] = (Ranked){kx * kx + ky * ky, visibility, mode};
  }
  qsort(ranked, seen, sizeof *ranked, by_wavenumber);
  return seen;
}

/* Does the second of two ranked modes begin a band of its own? */
static PetscBool begins_band(const Ranked *before, const Ranked *mode)
{
  return before->k2 != mode->k2 || mode->visibility - before->visibility > SAME_VISIBILITY ? PETSC_TRUE : PETSC_FALSE;
}

/* Add a mode of all bins to its band.  \param e_mode [bins][modes] */
static void add_mode(ModeLikelihood *l, const double complex *e_mode, size_t mode, size_t band)
{
  const ModeGrid *const g = &l->grid;
  const PetscInt n = g->bins;
  /* E = c gamma_1 + s gamma_2 has noise N v: over the root of v it has noise N, and the transform's own (ny nx)^1/2 */
  const double weight = mode_weight(g, mode), scale = weight / (mode_visibility(g, mode) * (double)g->pixels);
  double *const square = l->square + band * (size_t)(n * n);

  l->band[band].weight += weight;
  for (PetscInt i = 0; i < n; i++)
    for (PetscInt j = 0; j < n; j++) {
      const double complex a = e_mode[(size_t)i * g->modes + mode], b = e_mode[(size_t)j * g->modes + mode];

      square[i * n + j] += scale * (creal(a) * creal(b) + cimag(a) * cimag(b));
    }
}

static PetscErrorCode fill_bands(ModeLikelihood *l, const Ranked *ranked, size_t seen, const double complex *e_mode)
{
  const size_t matrix = (size_t)(l->grid.bins * l->grid.bins);
  size_t band = 0;

  PetscFunctionBeginUser;
  for (size_t r = 0; r < seen; r++) l->bands += !r || begins_band(&ranked[r - 1], &ranked[r]);
  PetscCall(PetscCalloc2(l->bands, &l->band, l->bands * matrix, &l->square));
  for (size_t r = 0; r < seen; r++) {
    if (r && begins_band(&ranked[r - 1], &ranked[r])) band++;
    l->band[band].mode = ranked[r].mode;
    l->band[band].visibility = ranked[r].visibility;
    add_mode(l, e_mode, ranked[r].mode, band);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What is left of all the squared data, and of all the modes, when those of the bands are taken off. */
static void set_noise_alone(ModeLikelihood *l, const float *raw)
{
  const ModeGrid *const g = &l->grid;
  const size_t of_bin = (size_t)g->planes * g->pixels;

  l->noise_alone = 0;
  for (PetscInt bin = 0; bin < g->bins; bin++) {
    double square = 0, count = (double)of_bin;

    for (size_t i = 0; i < of_bin; i++) square += (double)raw[(size_t)bin * of_bin + i] * raw[(size_t)bin * of_bin + i];
    for (size_t b = 0; b < l->bands; b++) {
      square -= l->square[b * (size_t)(g->bins * g->bins) + (size_t)(bin * (g->bins + 1))];
      count -= l->band[b].weight;
    }
    l->noise_alone += square / l->noise_variance[bin] + count * log(l->noise_variance[bin]);
    l->noise_alone += (double)of_bin * log(2 * M_PI); /* of all of them, those in bands too */
  }
}

/* What is kept of an observation.  \param e_mode [bins][modes] work  \param ranked [modes] work  \param observed
 * [planes][ny][nx] work */
static PetscErrorCode take_observation(ModeLikelihood *l, const float *raw, double complex *e_mode, Ranked *ranked,
                                       double *observed)
{
  ModeGrid *const g = &l->grid;
  const size_t of_bin = (size_t)g->planes * g->pixels;

  PetscFunctionBeginUser;
  for (PetscInt bin = 0; bin < g->bins; bin++) {
    for (size_t i = 0; i < of_bin; i++) observed[i] = raw[(size_t)bin * of_bin + i];
    mode_grid_project(g, observed, e_mode + (size_t)bin * g->modes);
  }
  PetscCall(fill_bands(l, ranked, rank_modes(g, ranked), e_mode));
  set_noise_alone(l, raw);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mode_likelihood_create(const SurveyConfig *survey, const double *noise_std, const float *raw,
                                      ModeLikelihood **likelihood)
{
  ModeLikelihood *l = NULL;
  double complex *e_mode = NULL;
  Ranked *ranked = NULL;
  double *observed = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&l));
  *likelihood = l;
  for (PetscInt bin = 0; bin < survey->bins; bin++) {
    PetscCheck(noise_std[bin] > 0 && isfinite(noise_std[bin]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "noise_std of bin %d is %.6g; it must be positive", (int)bin, noise_std[bin]);
    l->noise_variance[bin] = noise_std[bin] * noise_std[bin];
  }
  PetscCall(mode_grid_create(survey, &l->grid));
  const ModeGrid *const g = &l->grid;
  const size_t bins = (size_t)g->bins;
  PetscCall(PetscMalloc1(bins * (bins + 1) / 2 * g->modes, &l->power));
  PetscCall(PetscMalloc3(bins * g->modes, &e_mode, g->modes, &ranked, (size_t)g->planes * g->pixels, &observed));
  const PetscErrorCode error = take_observation(l, raw, e_mode, ranked, observed);
  PetscCall(PetscFree3(e_mode, ranked, observed));
  PetscFunctionReturn(error);
}

/* tr C^-1 D = sum over rows m of L^-1 of m D m^T, and ln det C = 2 sum ln L_ii.
 * \param inverse [n][n] L^-1  \param[out] log_determinant of C */
static double trace(PetscInt n, const double *inverse, const double *square, double *log_determinant)
{
  double sum = 0, product = 1;

  for (PetscInt i = 0; i < n; i++) {
    const double *const m = inverse + i * n;

    product *= m[i]; /* of 16 inverse standard deviations: within range */
    for (PetscInt j = 0; j <= i; j++) {
      double row = 0;

      for (PetscInt k = 0; k <= i; k++) row += square[j * n + k] * m[k];
      sum += m[j] * row;
    }
  }
  *log_determinant = -2 * log(product);
  return sum;
}

PetscErrorCode mode_likelihood_evaluate(ModeLikelihood *l, const LensingSpectra *spectra, double *log_likelihood)
{
  const ModeGrid *const g = &l->grid;
  const PetscInt n = g->bins;
  double covariance[NEPHRITE_MAX_BINS * NEPHRITE_MAX_BINS], sum = l->noise_alone, log_determinant;

  PetscFunctionBeginUser;
  PetscCheck(spectra->bins == n, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "spectra of %d bins for an observation of %d",
             (int)spectra->bins, (int)n);
  PetscCall(field_spectrum(spectra, g->ny, g->nx, g->pixel, l->power));
  for (size_t b = 0; b < l->bands; b++) {
    const Band *const band = &l->band[b];

    mode_covariance(g, l->power, band->mode, covariance);
    for (PetscInt i = 0; i < n * n; i++) covariance[i] *= band->visibility;
    for (PetscInt i = 0; i < n; i++) covariance[i * (n + 1)] += l->noise_variance[i];
    PetscCheck(matrix_cholesky(n, 0, covariance), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "C_ij and noise together are not positive definite in Fourier mode (%d, %d): no such field exists",
               (int)(band->mode / (size_t)g->columns), (int)(band->mode % (size_t)g->columns));
    matrix_invert_triangle(n, covariance);
    sum += trace(n, covariance, l->square + b * (size_t)(n * n), &log_determinant);
    sum += band->weight * log_determinant;
  }
  *log_likelihood = -sum / 2;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mode_likelihood_destroy(ModeLikelihood **likelihood)
{
  ModeLikelihood *l = *likelihood;

  PetscFunctionBeginUser;
  if (!l) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(mode_grid_destroy(&l->grid));
  PetscCall(PetscFree2(l->band, l->square));
  PetscCall(PetscFree(l->power));
  PetscCall(PetscFree(*likelihood));
  PetscFunctionReturn(PETSC_SUCCESS);
}
