/** \file gaussian.c  The posterior mean of a Gaussian field, mode by mode, all bins jointly.  \ingroup inference
 *
 * Of an observation d = kappa + n the mean is C (C + N)^-1 d (Wiener 1949; for maps of the sky Bunn et al. 1994).
 */
#include "nephrite/field.h"
#include "nephrite/inference.h"

#include <complex.h>

/* LAPACK's solution of a positive definite system with several right-hand sides. */
void dposv_(const char *triangle, const int *n, const int *sides, double *a, const int *lda, double *b, const int *ldb,
            int *info);

typedef struct {
  PetscInt bins, ny, nx;
  size_t pixels, modes;
  double pixel; /* radians */
  Fourier *fourier;
  ShearTransform *shear; /* NULL for convergence */
  double *power; /* [bins(bins+1)/2][ny][nx/2+1] */
  double *map; /* [3][ny][nx]: the observed planes of a bin, and its E-mode */
  double complex *mode; /* [bins][ny][nx/2+1] */
} Wiener;

static PetscErrorCode wiener_create(const SurveyConfig *survey, const LensingSpectra *spectra, Wiener *w)
{
  PetscFunctionBeginUser;
  w->bins = survey->bins;
  w->ny = survey_ny(survey);
  w->nx = survey_nx(survey);
  w->pixel = survey_pixel(survey);
  w->pixels = (size_t)w->ny * (size_t)w->nx;
  w->modes = (size_t)w->ny * (size_t)(w->nx / 2 + 1);
  PetscCall(fourier_create(w->ny, w->nx, &w->fourier));
  if (survey->observation == OBSERVATION_SHEAR) PetscCall(shear_transform_create(w->ny, w->nx, &w->shear));
  const size_t bins = (size_t)w->bins;
  PetscCall(
      PetscMalloc3(bins * (bins + 1) / 2 * w->modes, &w->power, 3 * w->pixels, &w->map, bins * w->modes, &w->mode));
  PetscCall(field_spectrum(spectra, w->ny, w->nx, w->pixel, w->power));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode wiener_destroy(Wiener *w)
{
  PetscFunctionBeginUser;
  PetscCall(fourier_destroy(&w->fourier));
  PetscCall(shear_transform_destroy(&w->shear));
  PetscCall(PetscFree3(w->power, w->map, w->mode));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The observation of each bin, a shear by its E-mode, to w->mode. */
static PetscErrorCode transform_observation(Wiener *w, const float *raw)
{
  const size_t planes = w->shear ? 2 : 1;
  double *const e_mode = w->map + 2 * w->pixels;

  PetscFunctionBeginUser;
  for (PetscInt bin = 0; bin < w->bins; bin++) {
    const float *const observed = raw + (size_t)bin * planes * w->pixels;

    for (size_t i = 0; i < planes * w->pixels; i++) w->map[i] = observed[i];
    if (w->shear) PetscCall(convergence_from_shear(w->shear, w->map, w->map + w->pixels, e_mode, NULL));
    PetscCall(PetscArraycpy(fourier_map(w->fourier), w->shear ? e_mode : w->map, w->pixels));
    fourier_forward(w->fourier);
    PetscCall(PetscArraycpy(w->mode + (size_t)bin * w->modes, fourier_modes(w->fourier), w->modes));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One mode: kappa = C (C + N)^-1 d, in place in w->mode.  The E-mode of white shear noise has variance
 * noise_std^2/visibility. */
static PetscErrorCode filter_mode(Wiener *w, const double *noise_std, double visibility, size_t mode)
{
  const int n = (int)w->bins, sides = 2;
  double covariance[NEPHRITE_MAX_BINS * NEPHRITE_MAX_BINS], weighted[2 * NEPHRITE_MAX_BINS];
  int info;

  PetscFunctionBeginUser;
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) covariance[i * n + j] = w->power[(size_t)lensing_pair(n, i, j) * w->modes + mode];
    covariance[i * n + i] += noise_std[i] * noise_std[i] / visibility;
    weighted[i] = creal(w->mode[(size_t)i * w->modes + mode]);
    weighted[n + i] = cimag(w->mode[(size_t)i * w->modes + mode]);
  }
  dposv_("U", &n, &sides, covariance, &n, weighted, &n, &info);
  PetscCheck(!info, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "C_ij and noise together are not positive definite in Fourier mode (%d, %d): no such field exists",
             (int)(mode / (size_t)(w->nx / 2 + 1)), (int)(mode % (size_t)(w->nx / 2 + 1)));
  for (int i = 0; i < n; i++) {
    double real = 0, imaginary = 0;

    for (int j = 0; j < n; j++) {
      const double power = w->power[(size_t)lensing_pair(n, i, j) * w->modes + mode];

      real += power * weighted[j];
      imaginary += power * weighted[n + j];
    }
    w->mode[(size_t)i * w->modes + mode] = real + imaginary * I; /* clang has no CMPLX */
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A mode that is not seen at all has the prior's mean, 0; so has k = 0, since C = 0 there. */
static PetscErrorCode filter_modes(Wiener *w, const double *noise_std)
{
  const PetscInt columns = w->nx / 2 + 1;

  PetscFunctionBeginUser;
  for (PetscInt y = 0; y < w->ny; y++)
    for (PetscInt x = 0; x < columns; x++) {
      const size_t mode = (size_t)(y * columns + x);
      const double visibility = w->shear ? shear_transform_visibility(w->shear, y, x) : 1;

      if (visibility > 0) {
        PetscCall(filter_mode(w, noise_std, visibility, mode));
        continue;
      }
      for (PetscInt bin = 0; bin < w->bins; bin++) w->mode[(size_t)bin * w->modes + mode] = 0;
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode transform_back(Wiener *w, float *kappa)
{
  const double scale = 1 / (double)w->pixels;

  PetscFunctionBeginUser;
  for (PetscInt bin = 0; bin < w->bins; bin++) {
    PetscCall(PetscArraycpy(fourier_modes(w->fourier), w->mode + (size_t)bin * w->modes, w->modes));
    fourier_inverse(w->fourier);
    for (size_t i = 0; i < w->pixels; i++)
      kappa[(size_t)bin * w->pixels + i] = (float)(fourier_map(w->fourier)[i] * scale);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode filter(Wiener *w, const double *noise_std, const float *raw, float *kappa)
{
  PetscFunctionBeginUser;
  PetscCall(transform_observation(w, raw));
  PetscCall(filter_modes(w, noise_std));
  PetscCall(transform_back(w, kappa));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode wiener_filter(const SurveyConfig *survey, const LensingSpectra *spectra, const double *noise_std,
                             const float *raw, float *kappa)
{
  Wiener w = {0};

  PetscFunctionBeginUser;
  PetscCheck(spectra->bins == survey->bins, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "spectra of %d bins for an observation of %d", (int)spectra->bins, (int)survey->bins);
  for (PetscInt bin = 0; bin < survey->bins; bin++)
    PetscCheck(noise_std[bin] > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "noise_std of bin %d is %.6g; it must be positive", (int)bin, noise_std[bin]);
  PetscErrorCode error = wiener_create(survey, spectra, &w);
  if (!error) error = filter(&w, noise_std, raw, kappa);
  PetscCall(wiener_destroy(&w));
  PetscFunctionReturn(error);
}
