/** \file kaiser_squires.c  The convergence that an observation shows by itself, without a model of the field.
 * \ingroup inference
 *
 * Of a shear its E-mode (Kaiser & Squires 1993), of a convergence the observation; smoothed, where one asks for it. */
#include "inference/internal.h"

#include <complex.h>
#include <math.h>

typedef struct {
  PetscInt ny, nx;
  size_t pixels;
  double smoothing; /* in pixels */
  ShearTransform *shear; /* NULL for convergence */
  Fourier *fourier;
  double *plane; /* [3][ny][nx]: two observed components, the E-mode */
} KaiserSquires;

static PetscErrorCode create(Worker *w)
{
  const SurveyConfig *survey = w->setup->survey;
  KaiserSquires *k = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&k));
  w->state = k;
  k->ny = survey_ny(survey);
  k->nx = survey_nx(survey);
  k->pixels = (size_t)(k->ny * k->nx);
  k->smoothing = w->setup->infer->smoothing_arcmin / 60 * M_PI / 180 / survey_pixel(survey);
  if (survey->observation == OBSERVATION_SHEAR) PetscCall(shear_transform_create(k->ny, k->nx, &k->shear));
  PetscCall(fourier_create(k->ny, k->nx, &k->fourier));
  PetscCall(PetscMalloc1(3 * k->pixels, &k->plane));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode destroy(Worker *w)
{
  KaiserSquires *k = w->state;

  PetscFunctionBeginUser;
  if (!k) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(shear_transform_destroy(&k->shear));
  PetscCall(fourier_destroy(&k->fourier));
  PetscCall(PetscFree(k->plane));
  PetscCall(PetscFree(w->state));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* With a Gaussian whose standard deviation is s: a mode of k radians per pixel is multiplied by exp(-s^2 k^2/2). */
static void smooth(KaiserSquires *k)
{
  const PetscInt columns = k->nx / 2 + 1;
  double complex *mode = fourier_modes(k->fourier);

  fourier_forward(k->fourier);
  for (PetscInt y = 0; y < k->ny; y++)
    for (PetscInt x = 0; x < columns; x++) {
      const double ky = 2 * M_PI * (double)fourier_frequency(y, k->ny) / (double)k->ny;
      const double kx = 2 * M_PI * (double)x / (double)k->nx;

      mode[y * columns + x] *= exp(-k->smoothing * k->smoothing * (kx * kx + ky * ky) / 2) / (double)k->pixels;
    }
  fourier_inverse(k->fourier);
}

static PetscErrorCode estimate(Worker *w, float *kappa)
{
  KaiserSquires *k = w->state;
  const size_t components = k->shear ? 2 : 1;
  double *const map = fourier_map(k->fourier), *const e_mode = k->plane + 2 * k->pixels;

  PetscFunctionBeginUser;
  for (PetscInt bin = 0; bin < w->setup->survey->bins; bin++) {
    const float *raw = w->raw + (size_t)bin * components * k->pixels;

    for (size_t i = 0; i < components * k->pixels; i++) k->plane[i] = raw[i];
    if (k->shear) PetscCall(convergence_from_shear(k->shear, k->plane, k->plane + k->pixels, e_mode, NULL));
    PetscCall(PetscArraycpy(map, k->shear ? e_mode : k->plane, k->pixels));
    if (k->smoothing > 0) smooth(k);
    for (size_t i = 0; i < k->pixels; i++) kappa[(size_t)bin * k->pixels + i] = (float)map[i];
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

const InferenceMethod method_kaiser_squires = {
    .suffix = "-ks",
    .scope = SCOPE_SIMULATION | SCOPE_ESTIMATE,
    .create = create,
    .estimate = estimate,
    .description = "convergence of the observation by itself (Kaiser & Squires 1993 of a shear) [bin, y, x]",
    .destroy = destroy};
