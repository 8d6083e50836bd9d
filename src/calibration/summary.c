/** \file summary.c  What a map and its parameters say in few numbers.  \ingroup calibration */
#include "calibration/internal.h"

#include <math.h>

enum {
  MOST_BANDS = 6, /* equal in ln ell from the fundamental mode to the Nyquist frequency, at least half an octave each */
  HEIGHTS = 4, /* of peaks: below 1, from 1, from 2, and from 3 standard deviations of the map's bin */
};

struct Summary {
  SummaryKind kind;
  PetscInt bins, ny, nx;
  BandPowers *bands; /* of SUMMARY_SPECTRA: */
  double *power; /* [band_powers_count()] */
  double pixel; /* area, sr */
};

/* ---- band powers ---- */

static PetscErrorCode create_bands(Summary *s)
{
  const double nyquist = PetscMax(s->nx, s->ny) / 2.;
  const PetscInt bands = PetscMax(1, PetscMin(MOST_BANDS, (PetscInt)(2 * log2(nyquist) + 1e-9)));

  PetscFunctionBeginUser;
  PetscCall(band_powers_create(s->ny, s->nx, s->bins, bands, BANDS_TO_NYQUIST, &s->bands));
  PetscCall(PetscMalloc1(band_powers_count(s->bands), &s->power));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void spectra(Summary *s, const float *kappa, float *value)
{
  band_powers_of(s->bands, kappa, s->power);
  for (PetscInt i = 0; i < band_powers_count(s->bands); i++) value[i] = (float)(s->pixel * s->power[i]);
}

/* ---- peaks ---- */

/* Is a pixel above all eight neighbours?  Maps are periodic. */
static PetscBool is_peak(const Summary *s, const float *map, PetscInt y, PetscInt x)
{
  for (PetscInt dy = -1; dy <= 1; dy++)
    for (PetscInt dx = -1; dx <= 1; dx++) {
      const PetscInt row = (y + dy + s->ny) % s->ny, column = (x + dx + s->nx) % s->nx;

      if ((dy || dx) && map[row * s->nx + column] >= map[y * s->nx + x]) return PETSC_FALSE;
    }
  return PETSC_TRUE;
}

static void peaks_of_bin(const Summary *s, const float *map, float *value)
{
  const PetscInt pixels = s->ny * s->nx;
  double mean = 0, square = 0;

  for (PetscInt i = 0; i < pixels; i++) mean += (double)map[i] / pixels;
  for (PetscInt i = 0; i < pixels; i++) square += ((double)map[i] - mean) * ((double)map[i] - mean) / pixels;
  for (int h = 0; h < HEIGHTS; h++) value[h] = 0;
  for (PetscInt y = 0; y < s->ny; y++)
    for (PetscInt x = 0; x < s->nx; x++)
      if (is_peak(s, map, y, x)) {
        const double height = ((double)map[y * s->nx + x] - mean) / sqrt(square);

        value[(int)fmin(fmax(floor(height), 0), HEIGHTS - 1)]++;
      }
}

/* ---- the summaries ---- */

PetscErrorCode summary_create(SummaryKind kind, const SurveyConfig *survey, Summary **summary)
{
  Summary *s = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&s));
  *summary = s;
  s->kind = kind;
  s->bins = survey->bins;
  s->ny = survey_ny(survey);
  s->nx = survey_nx(survey);
  s->pixel = survey_pixel(survey) * survey_pixel(survey);
  if (kind == SUMMARY_SPECTRA) PetscCall(create_bands(s));
  PetscFunctionReturn(PETSC_SUCCESS);
}

int64_t summary_dimension(const Summary *s)
{
  const int64_t dimension[] = {[SUMMARY_S8_OMEGA_M] = 2,
                               [SUMMARY_SPECTRA] = s->bands ? band_powers_count(s->bands) : 0,
                               [SUMMARY_PEAKS] = (int64_t)s->bins * HEIGHTS};

  return dimension[s->kind];
}

PetscErrorCode summary_of(Summary *s, const float *kappa, const double *theta, float *value)
{
  PetscFunctionBeginUser;
  switch (s->kind) {
  case SUMMARY_S8_OMEGA_M:
    value[0] = (float)s8_of(theta);
    value[1] = (float)omega_m_of(theta);
    break;
  case SUMMARY_SPECTRA:
    spectra(s, kappa, value);
    break;
  case SUMMARY_PEAKS:
    for (PetscInt b = 0; b < s->bins; b++) peaks_of_bin(s, kappa + (size_t)(b * s->ny * s->nx), value + b * HEIGHTS);
    break;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode summary_destroy(Summary **summary)
{
  PetscFunctionBeginUser;
  if (!*summary) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(band_powers_destroy(&(*summary)->bands));
  PetscCall(PetscFree((*summary)->power));
  PetscCall(PetscFree(*summary));
  PetscFunctionReturn(PETSC_SUCCESS);
}
