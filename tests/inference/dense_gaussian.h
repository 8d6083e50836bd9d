/** A Gaussian field on a map of a few pixels, with every covariance written out: what the methods that work mode by
 * mode or by iteration are held to.  Nothing here transforms by FFT. */
#ifndef INFERENCE_DENSE_GAUSSIAN_H
#define INFERENCE_DENSE_GAUSSIAN_H

#include "nephrite/field.h"
#include "nephrite/inference.h"
#include "nephrite_test.h"

#include <stdlib.h>

enum { DENSE_BINS = 2, DENSE_ELL = 8, DENSE_MAX_PIXELS = 24, DENSE_MAX_FIELD = DENSE_BINS * DENSE_MAX_PIXELS };
enum { DENSE_MAX_DATA = 2 * DENSE_MAX_FIELD };

/** C_ij(ell) = (1 + i)(1 + j) r_ij amplitude (ell/500)^slope with r = 1 or 0.7: a line in log-log, which the spline
 * of the code has exactly. */
typedef struct {
  double amplitude, slope;
} DenseSpectrum;

typedef struct {
  SurveyConfig survey;
  DenseSpectrum spectrum;
  LensingSpectra *spectra;
  int ny, nx, planes, pixels, field, data; /* field: bins x pixels; data: bins x planes x pixels */
  double prior[DENSE_MAX_FIELD * DENSE_MAX_FIELD]; /* [field][field] covariance */
  double response[DENSE_MAX_DATA * DENSE_MAX_FIELD]; /* [data][field] */
  double noise_std[DENSE_MAX_DATA]; /* [data] */
  float raw[DENSE_MAX_DATA];
} Dense;

static inline double dense_power(const DenseSpectrum *s, int i, int j, double ell)
{
  return (1 + i) * (1 + j) * (i == j ? 1 : 0.7) * s->amplitude * pow(ell / 500, s->slope);
}

static inline LensingSpectra *dense_spectra(const DenseSpectrum *s)
{
  LensingSpectra *spectra = NULL;

  assert_ok(lensing_spectra_create(DENSE_BINS, DENSE_ELL, &spectra));
  for (int l = 0; l < DENSE_ELL; l++) {
    spectra->ell[l] = 10 * pow(4, l);
    for (int i = 0; i < DENSE_BINS; i++)
      for (int j = i; j < DENSE_BINS; j++)
        spectra->power[lensing_pair(DENSE_BINS, i, j) * DENSE_ELL + l] = dense_power(s, i, j, spectra->ell[l]);
  }
  return spectra;
}

static inline double dense_frequency(int i, int n)
{
  return (2 * i < n ? i : i - n) / (double)n; /* cycles per pixel */
}

/* For two pixels some way apart: covariance of kappa of bins i and j (what = 0), kappa to gamma_1 (1) or gamma_2 (2).
 */
static inline double dense_element(const Dense *d, int what, int i, int j, int dy, int dx)
{
  double sum = 0;

  for (int y = 0; y < d->ny; y++)
    for (int x = 0; x < d->nx; x++) {
      const double fy = dense_frequency(y, d->ny), fx = dense_frequency(x, d->nx), f2 = fx * fx + fy * fy;
      const double pixel = survey_pixel(&d->survey);
      const int nyquist = 2 * y == d->ny || 2 * x == d->nx;
      double factor = 0;

      if (y || x) {
        if (what == 0) factor = dense_power(&d->spectrum, i, j, 2 * M_PI * sqrt(f2) / pixel) / (pixel * pixel);
        if (what == 1) factor = (fx * fx - fy * fy) / f2;
        if (what == 2) factor = nyquist ? 0 : 2 * fx * fy / f2;
      }
      sum += factor * cos(2 * M_PI * (fy * dy + fx * dx));
    }
  return sum / d->pixels;
}

static inline void dense_fill(Dense *d)
{
  const int n = d->pixels;

  for (int i = 0; i < DENSE_BINS; i++)
    for (int j = 0; j < DENSE_BINS; j++)
      for (int p = 0; p < n; p++)
        for (int q = 0; q < n; q++) {
          const int dy = p / d->nx - q / d->nx, dx = p % d->nx - q % d->nx;

          d->prior[(i * n + p) * d->field + j * n + q] = dense_element(d, 0, i, j, dy, dx);
          for (int plane = 0; plane < d->planes; plane++)
            d->response[((i * d->planes + plane) * n + p) * d->field + j * n + q] =
                i != j           ? 0
                : d->planes == 2 ? dense_element(d, 1 + plane, i, j, dy, dx)
                                 : p == q;
        }
}

/** Data are white numbers: any data will do. */
static inline Dense *dense_make(int ny, int nx, ObservationKind kind)
{
  const double pixel_deg = 0.05;
  Dense *d = calloc(1, sizeof *d);
  double white[DENSE_MAX_DATA];

  assert_non_null(d);
  d->survey = (SurveyConfig){.map_size = {nx, ny},
                             .field_of_view_deg = pixel_deg * nx,
                             .bins = DENSE_BINS,
                             .field = FIELD_GAUSSIAN,
                             .observation = (int)kind,
                             .galaxies_per_arcmin2 = 27,
                             .sigma_e = 0.26,
                             .mask = "none"};
  d->spectrum = (DenseSpectrum){3e-10, -1.3};
  d->spectra = dense_spectra(&d->spectrum);
  d->ny = ny;
  d->nx = nx;
  d->planes = kind == OBSERVATION_SHEAR ? 2 : 1;
  d->pixels = ny * nx;
  d->field = DENSE_BINS * d->pixels;
  d->data = d->planes * d->field;
  assert_true(d->pixels <= DENSE_MAX_PIXELS);
  dense_fill(d);
  random_normal((RandomKey){8, STREAM_NOISE, 1}, 0, (size_t)d->data, white);
  for (int i = 0; i < d->data; i++) {
    d->noise_std[i] = i < d->data / 2 ? 0.03 : 0.05;
    d->raw[i] = (float)(0.06 * white[i]);
  }
  return d;
}

static inline void dense_free(Dense *d)
{
  assert_ok(lensing_spectra_destroy(&d->spectra));
  free(d);
}

/** a = L L^T, in place of its lower triangle. */
static inline void dense_cholesky(int n, double *a)
{
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++) {
      double sum = a[i * n + j];

      for (int k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
      assert_true(j < i || sum > 0);
      a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
    }
}

/** x = L^-1 x, and then with \p both L^-T L^-1 x. */
static inline void dense_solve(int n, const double *root, int both, double *x)
{
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < i; j++) x[i] -= root[i * n + j] * x[j];
    x[i] /= root[i * n + i];
  }
  for (int i = n - 1; i >= 0 && both; i--) {
    for (int j = i + 1; j < n; j++) x[i] -= root[j * n + i] * x[j];
    x[i] /= root[i * n + i];
  }
}

/** Root of the covariance of those data that are seen: A S A^T + N.  \param[out] root [seen][seen] to be freed, \param
 * seen, index [data] which they are: those of finite noise */
static inline double *dense_data_root(const Dense *d, int *index, int *seen)
{
  double *const half = calloc((size_t)(d->data * d->field), sizeof *half), *root;

  assert_non_null(half);
  *seen = 0;
  for (int i = 0; i < d->data; i++)
    if (isfinite(d->noise_std[i])) index[(*seen)++] = i;
  root = calloc((size_t)(*seen * *seen), sizeof *root);
  assert_non_null(root);
  for (int a = 0; a < *seen; a++)
    for (int j = 0; j < d->field; j++)
      for (int k = 0; k < d->field; k++)
        half[a * d->field + j] += d->response[index[a] * d->field + k] * d->prior[k * d->field + j];
  for (int a = 0; a < *seen; a++)
    for (int b = 0; b <= a; b++) {
      for (int k = 0; k < d->field; k++)
        root[a * *seen + b] += half[a * d->field + k] * d->response[index[b] * d->field + k];
      if (a == b) root[a * *seen + b] += d->noise_std[index[a]] * d->noise_std[index[a]];
    }
  free(half);
  dense_cholesky(*seen, root);
  return root;
}

static inline double dense_log_likelihood(const Dense *d)
{
  int index[DENSE_MAX_DATA], seen;
  double *const root = dense_data_root(d, index, &seen), x[DENSE_MAX_DATA], sum = 0;

  for (int a = 0; a < seen; a++) x[a] = d->raw[index[a]];
  dense_solve(seen, root, 0, x);
  for (int a = 0; a < seen; a++) sum += x[a] * x[a] / 2 + log(root[a * seen + a]) + log(2 * M_PI) / 2;
  free(root);
  return -sum;
}

/** Mean and covariance of kappa given the data that are seen.  \param[out] mean [field]  \param[out] covariance
 * [field][field] */
static inline void dense_posterior(const Dense *d, double *mean, double *covariance)
{
  int index[DENSE_MAX_DATA], seen;
  double *const root = dense_data_root(d, index, &seen), data[DENSE_MAX_DATA];
  double *const gain = calloc((size_t)(d->field * seen), sizeof *gain); /* rows L^-1 A S of each pixel */

  assert_non_null(gain);
  for (int a = 0; a < seen; a++) data[a] = d->raw[index[a]];
  dense_solve(seen, root, 0, data);
  for (int i = 0; i < d->field; i++) {
    double *const row = gain + i * seen;

    for (int a = 0; a < seen; a++)
      for (int k = 0; k < d->field; k++) row[a] += d->response[index[a] * d->field + k] * d->prior[k * d->field + i];
    dense_solve(seen, root, 0, row);
    mean[i] = 0;
    for (int a = 0; a < seen; a++) mean[i] += row[a] * data[a];
  }
  for (int i = 0; i < d->field; i++)
    for (int j = 0; j < d->field; j++) {
      covariance[i * d->field + j] = d->prior[i * d->field + j];
      for (int a = 0; a < seen; a++) covariance[i * d->field + j] -= gain[i * seen + a] * gain[j * seen + a];
    }
  free(gain);
  free(root);
}

#endif
