/** \file summary.c  What a map and its parameters say in few numbers.  \ingroup calibration */
#include "calibration/internal.h"

#include <complex.h>
#include <math.h>

enum {
  MOST_BANDS = 6, /* equal in ln ell from the fundamental mode to the Nyquist frequency, at least half an octave each */
  HEIGHTS = 4, /* of peaks: below 1, from 1, from 2, and from 3 standard deviations of the map's bin */
};

struct Summary {
  SummaryKind kind;
  PetscInt bins, ny, nx, bands;
  Fourier *fourier; /* of SUMMARY_SPECTRA: */
  double _Complex *modes; /* [bins][ny][nx/2+1] */
  int *band; /* [ny][nx/2+1], 0 outside of all */
  double *share; /* [ny][nx/2+1] of a mode's power in the mean of its band; 0 outside of all */
};

/* ---- band powers ---- */

static size_t mode_count(const Summary *s)
{
  return (size_t)(s->ny * (s->nx / 2 + 1));
}

/* Bands of k/k_fundamental.  The fundamental mode lies well inside of the first, whatever the rounding. */
static int band_of(const Summary *s, double wavenumber, double nyquist)
{
  const double place = log(wavenumber * 1.01) / log(nyquist * 1.01) * (double)s->bands;

  return place < 0 || place >= (double)s->bands ? -1 : (int)place;
}

/* A mode off kx = 0 and off the Nyquist column stands for its conjugate as well. */
static PetscErrorCode place_modes(Summary *s, double pixel)
{
  const PetscInt columns = s->nx / 2 + 1, longer = PetscMax(s->nx, s->ny);
  const double nyquist = longer / 2.;
  double total[MOST_BANDS] = {0};

  PetscFunctionBeginUser;
  s->bands = PetscMax(1, PetscMin(MOST_BANDS, (PetscInt)(2 * log2(nyquist) + 1e-9)));
  PetscCall(PetscMalloc2(mode_count(s), &s->band, mode_count(s), &s->share));
  for (PetscInt y = 0; y < s->ny; y++)
    for (PetscInt x = 0; x < columns; x++) {
      const PetscInt mode = y * columns + x;
      const double ky = (double)fourier_frequency(y, s->ny) * longer / s->ny, kx = (double)x * longer / s->nx;

      const int band = band_of(s, hypot(kx, ky), nyquist);

      s->band[mode] = PetscMax(band, 0);
      s->share[mode] = band < 0 ? 0 : x == 0 || 2 * x == s->nx ? 1 : 2;
      total[s->band[mode]] += s->share[mode];
    }
  const double unit =
      pixel * pixel / ((double)s->ny * (double)s->nx); /* of an unnormalised transform's square, in sr */
  for (size_t mode = 0; mode < mode_count(s); mode++) s->share[mode] *= unit / total[s->band[mode]];
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void transform(Summary *s, const float *kappa)
{
  const size_t pixels = (size_t)(s->ny * s->nx);

  for (PetscInt b = 0; b < s->bins; b++) {
    double *map = fourier_map(s->fourier);

    for (size_t i = 0; i < pixels; i++) map[i] = (double)kappa[(size_t)b * pixels + i];
    fourier_forward(s->fourier);
    for (size_t mode = 0; mode < mode_count(s); mode++)
      s->modes[(size_t)b * mode_count(s) + mode] = fourier_modes(s->fourier)[mode];
  }
}

static void band_powers(const Summary *s, const double _Complex *a, const double _Complex *b, float *power)
{
  double sum[MOST_BANDS] = {0};

  for (size_t mode = 0; mode < mode_count(s); mode++)
    sum[s->band[mode]] += s->share[mode] * creal(a[mode] * conj(b[mode]));
  for (PetscInt i = 0; i < s->bands; i++) power[i] = (float)sum[i];
}

static void spectra(Summary *s, const float *kappa, float *value)
{
  const size_t modes = mode_count(s);

  transform(s, kappa);
  for (PetscInt i = 0; i < s->bins; i++)
    for (PetscInt j = i; j < s->bins; j++, value += s->bands)
      band_powers(s, s->modes + (size_t)i * modes, s->modes + (size_t)j * modes, value);
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
  if (kind != SUMMARY_SPECTRA) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(fourier_create(s->ny, s->nx, &s->fourier));
  PetscCall(PetscMalloc1((size_t)s->bins * mode_count(s), &s->modes));
  PetscCall(place_modes(s, survey_pixel(survey)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

int64_t summary_dimension(const Summary *s)
{
  const int64_t dimension[] = {[SUMMARY_S8_OMEGA_M] = 2,
                               [SUMMARY_SPECTRA] = (int64_t)s->bins * (s->bins + 1) / 2 * s->bands,
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
  PetscCall(fourier_destroy(&(*summary)->fourier));
  PetscCall(PetscFree((*summary)->modes));
  PetscCall(PetscFree2((*summary)->band, (*summary)->share));
  PetscCall(PetscFree(*summary));
  PetscFunctionReturn(PETSC_SUCCESS);
}
