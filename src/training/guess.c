/** \file guess.c  The best linear guess of a map from its noisy version and the observation.  \ingroup training
 *
 * Mode by mode, with covariances of clean maps and observed data that were measured in bands of wavenumber over
 * training: x given d has the mean M d and the covariance L = U diag(lambda) U^T, of which z = t x + (1-t) noise says
 *
 *   x_hat = M d + U diag(g) U^T (z - t M d),   g = t lambda/(t^2 lambda + (1-t)^2),
 *
 * and leaves L's eigenvectors with the standard deviations r = sqrt(lambda) (1-t)/sqrt(t^2 lambda + (1-t)^2).  What the
 * network answers is added in their units, U diag(r) U^T y: it speaks of white noise of unit variance at all times and
 * wavenumbers, as with ::OUTPUT_RESIDUAL for maps that are white themselves.  Of the mean of a map the unit is the mean
 * of y: its mode is the sum of all pixels, to which the slightest offset in all answers would come up as that of white
 * noise.
 */
#include "internal.h"

#include <complex.h>
#include <gsl/gsl_eigen.h>
#include <math.h>
#include <omp.h>
#include <string.h>

enum { MOST = NEPHRITE_MAX_BINS };

/* Of a band: what the observation says, and what it leaves. */
typedef struct {
  double mean[MOST][MOST]; /* M */
  double vector[MOST][MOST], lambda[MOST]; /* columns of U */
} Band;

/* What one thread works with. */
typedef struct {
  Fourier *fourier;
  double _Complex *z, *y; /* [bins][modes] */
} Worker;

struct Guess {
  PetscInt bins, channels, ny, nx;
  size_t pixels, modes;
  Band bands[GUESS_BANDS + 1];
  int *band; /* [modes] */
  PetscInt batch;
  double _Complex *seen; /* [batch][bins][modes] M d */
  int worker_count;
  Worker *workers;
};

/* ---- covariances to filters ---- */

/* Eigenvectors and eigenvalues of a symmetric matrix. */
typedef struct {
  gsl_matrix *matrix, *vectors;
  gsl_vector *values;
  gsl_eigen_symmv_workspace *work;
} Eigen;

static PetscErrorCode eigen_create(size_t n, Eigen *e)
{
  PetscFunctionBeginUser;
  *e = (Eigen){gsl_matrix_alloc(n, n), gsl_matrix_alloc(n, n), gsl_vector_alloc(n), gsl_eigen_symmv_alloc(n)};
  PetscCheck(e->matrix && e->vectors && e->values && e->work, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "no memory for matrices of %zu bins", n);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void eigen_destroy(Eigen *e)
{
  if (e->matrix) gsl_matrix_free(e->matrix);
  if (e->vectors) gsl_matrix_free(e->vectors);
  if (e->values) gsl_vector_free(e->values);
  if (e->work) gsl_eigen_symmv_free(e->work);
}

static void decompose(Eigen *e, size_t n, double matrix[MOST][MOST])
{
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) gsl_matrix_set(e->matrix, i, j, (matrix[i][j] + matrix[j][i]) / 2);
  gsl_eigen_symmv(e->matrix, e->values, e->vectors, e->work);
}

/* Directions in which the data have less than this of the most have nothing. */
static const double least_share = 1e-10;

/* M = S_xd S_dd^-1, the inverse by eigenvectors, and L = S_xx - M S_dx.  \param s [2 n][2 n] covariance of x and,
 * behind it, d */
static void solve_band(Eigen *e, size_t n, double s[2 * MOST][2 * MOST], Band *band)
{
  double data[MOST][MOST], inverse[MOST][MOST] = {{0}}, left[MOST][MOST];

  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) data[i][j] = s[n + i][n + j];
  decompose(e, n, data);
  const double most = gsl_vector_max(e->values);
  for (size_t k = 0; k < n; k++) {
    const double value = gsl_vector_get(e->values, k);

    if (!(value > least_share * most)) continue;
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++)
        inverse[i][j] += gsl_matrix_get(e->vectors, i, k) * gsl_matrix_get(e->vectors, j, k) / value;
  }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      band->mean[i][j] = 0;
      for (size_t k = 0; k < n; k++) band->mean[i][j] += s[i][n + k] * inverse[k][j];
    }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      left[i][j] = s[i][j];
      for (size_t k = 0; k < n; k++) left[i][j] -= band->mean[i][k] * s[n + k][j];
    }
  decompose(e, n, left);
  for (size_t k = 0; k < n; k++) {
    band->lambda[k] = fmax(gsl_vector_get(e->values, k), 0);
    for (size_t i = 0; i < n; i++) band->vector[i][k] = gsl_matrix_get(e->vectors, i, k);
  }
}

static PetscErrorCode solve_bands(Guess *g, const Normalisation *n)
{
  const size_t bins = (size_t)g->bins, maps = 2 * bins;
  const double *covariance = n->guess;
  Eigen eigen;

  PetscFunctionBeginUser;
  PetscErrorCode error = eigen_create(bins, &eigen);
  for (size_t b = 0; b <= GUESS_BANDS && !error; b++) {
    double s[2 * MOST][2 * MOST];

    for (size_t i = 0; i < maps; i++)
      for (size_t j = i; j < maps; j++) s[i][j] = s[j][i] = *covariance++;
    solve_band(&eigen, bins, s, &g->bands[b]);
  }
  eigen_destroy(&eigen);
  PetscFunctionReturn(error);
}

static PetscErrorCode place_modes(Guess *g)
{
  BandPowers *bands = NULL;

  PetscFunctionBeginUser;
  PetscCall(band_powers_create(g->ny, g->nx, 1, GUESS_BANDS, BANDS_TO_CORNER, &bands));
  for (PetscInt y = 0; y < g->ny; y++)
    for (PetscInt x = 0; x <= g->nx / 2; x++)
      g->band[y * (g->nx / 2 + 1) + x] = 1 + (int)band_powers_band(bands, y, x); /* 0: the mean */
  PetscCall(band_powers_destroy(&bands));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create_workers(Guess *g)
{
  PetscFunctionBeginUser;
  g->worker_count = omp_get_max_threads();
  PetscCall(PetscCalloc1(g->worker_count, &g->workers));
  for (int w = 0; w < g->worker_count; w++) {
    PetscCall(fourier_create(g->ny, g->nx, &g->workers[w].fourier));
    PetscCall(PetscMalloc2((size_t)g->bins * g->modes, &g->workers[w].z, (size_t)g->bins * g->modes, &g->workers[w].y));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode guess_create(const NetworkShape *shape, const Normalisation *normalisation, PetscInt batch,
                            Guess **guess)
{
  Guess *g = NULL;

  PetscFunctionBeginUser;
  if (shape->config.output != OUTPUT_WIENER) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscNew(&g));
  *guess = g;
  g->bins = shape->bins;
  g->channels = shape->observation_channels;
  g->ny = shape->ny;
  g->nx = shape->nx;
  g->pixels = (size_t)(shape->ny * shape->nx);
  g->modes = (size_t)(shape->ny * (shape->nx / 2 + 1));
  PetscCall(solve_bands(g, normalisation));
  PetscCall(PetscMalloc1(g->modes, &g->band));
  PetscCall(place_modes(g));
  PetscCall(PetscMalloc1((size_t)(batch * g->bins) * g->modes, &g->seen));
  PetscCall(create_workers(g));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode guess_destroy(Guess **guess)
{
  Guess *g = *guess;

  PetscFunctionBeginUser;
  if (!g) PetscFunctionReturn(PETSC_SUCCESS);
  for (int w = 0; g->workers && w < g->worker_count; w++) {
    PetscCall(fourier_destroy(&g->workers[w].fourier));
    PetscCall(PetscFree2(g->workers[w].z, g->workers[w].y));
  }
  PetscCall(PetscFree(g->workers));
  PetscCall(PetscFree(g->seen));
  PetscCall(PetscFree(g->band));
  PetscCall(PetscFree(*guess));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- maps and modes ---- */

/* \param maps [bins][ny][nx]  \param[out] modes [bins][modes] */
static void to_modes(const Guess *g, Worker *w, const Scalar *maps, double _Complex *modes)
{
  double *const map = fourier_map(w->fourier);

  for (size_t bin = 0; bin < (size_t)g->bins; bin++) {
    for (size_t i = 0; i < g->pixels; i++) map[i] = (double)maps[bin * g->pixels + i];
    fourier_forward(w->fourier);
    memcpy(modes + bin * g->modes, fourier_modes(w->fourier), g->modes * sizeof *modes);
  }
}

static void to_maps(const Guess *g, Worker *w, const double _Complex *modes, Scalar *maps)
{
  const double *const map = fourier_map(w->fourier);

  for (size_t bin = 0; bin < (size_t)g->bins; bin++) {
    memcpy(fourier_modes(w->fourier), modes + bin * g->modes, g->modes * sizeof *modes);
    fourier_inverse(w->fourier);
    for (size_t i = 0; i < g->pixels; i++) maps[bin * g->pixels + i] = (Scalar)(map[i] / (double)g->pixels);
  }
}

/* U diag(factor) U^T of each band. */
typedef struct {
  double of[GUESS_BANDS + 1][MOST][MOST];
} Filters;

static void turn(const Guess *g, size_t b, const double *factor, Filters *filters)
{
  const Band *band = &g->bands[b];
  const size_t n = (size_t)g->bins;

  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      double sum = 0;

      for (size_t k = 0; k < n; k++) sum += band->vector[i][k] * factor[k] * band->vector[j][k];
      filters->of[b][i][j] = sum;
    }
}

/* How z is weighed at a time, and what it leaves.  \param[out] guess, left  either may be NULL */
static void filters_at(const Guess *g, double t, Filters *guess, Filters *left)
{
  for (size_t b = 0; b <= GUESS_BANDS; b++) {
    const double noise = b > 0 ? 1 : sqrt((double)g->pixels); /* of the modes of what is of order 1 */
    double gain[MOST], unit[MOST];

    for (size_t k = 0; k < (size_t)g->bins; k++) {
      const double lambda = g->bands[b].lambda[k], square = t * t * lambda + (1 - t) * (1 - t);

      gain[k] = lambda > 0 ? t * lambda / square : 0;
      unit[k] = lambda > 0 ? sqrt(lambda / square) * (1 - t) / noise : 0;
    }
    if (guess) turn(g, b, gain, guess);
    if (left) turn(g, b, unit, left);
  }
}

/* sum over j of filter[band][i][j] modes[j] of one mode */
static double _Complex filtered(const Guess *g, const Filters *filters, size_t bin, size_t mode,
                                const double _Complex *modes)
{
  const double *row = filters->of[g->band[mode]][bin];
  double _Complex sum = 0;

  for (size_t j = 0; j < (size_t)g->bins; j++) sum += row[j] * modes[j * g->modes + mode];
  return sum;
}

/* ---- of a batch ---- */

static void observe(Guess *g, Worker *w, const Scalar *channels, double _Complex *seen)
{
  to_modes(g, w, channels, w->z);
  for (size_t i = 0; i < (size_t)g->bins; i++)
    for (size_t mode = 0; mode < g->modes; mode++) {
      double _Complex sum = 0;

      for (size_t j = 0; j < (size_t)g->bins; j++)
        sum += g->bands[g->band[mode]].mean[i][j] * w->z[j * g->modes + mode];
      seen[i * g->modes + mode] = sum;
    }
}

void guess_observe(Guess *g, PetscInt batch, const Scalar *observation)
{
  if (!g) return;
  g->batch = batch;
#pragma omp parallel for num_threads(g->worker_count)
  for (PetscInt b = 0; b < batch; b++)
    observe(g, &g->workers[omp_get_thread_num()], observation + (size_t)(b * g->channels) * g->pixels,
            g->seen + (size_t)(b * g->bins) * g->modes);
}

static void complete(const Guess *g, Worker *w, double t, const double _Complex *seen, const Scalar *z, Scalar *x)
{
  const size_t numbers = (size_t)g->bins * g->modes;
  Filters gain, unit;

  filters_at(g, t, &gain, &unit);
  to_modes(g, w, z, w->z);
  to_modes(g, w, x, w->y);
  for (size_t i = 0; i < numbers; i++) w->z[i] -= t * seen[i];
  for (size_t mode = 0; mode < g->modes; mode++) {
    double _Complex sum[MOST];

    for (size_t i = 0; i < (size_t)g->bins; i++)
      sum[i] = seen[i * g->modes + mode] + filtered(g, &gain, i, mode, w->z) + filtered(g, &unit, i, mode, w->y);
    for (size_t i = 0; i < (size_t)g->bins; i++) w->y[i * g->modes + mode] = sum[i];
  }
  to_maps(g, w, w->y, x);
}

void guess_complete(Guess *g, const Scalar *t, const Scalar *z, Scalar *x)
{
  if (!g) return;
  const size_t size = (size_t)g->bins * g->pixels;

#pragma omp parallel for num_threads(g->worker_count)
  for (PetscInt b = 0; b < g->batch; b++)
    complete(g, &g->workers[omp_get_thread_num()], (double)t[b], g->seen + (size_t)(b * g->bins) * g->modes,
             z + (size_t)b * size, x + (size_t)b * size);
}

static void pull_back(const Guess *g, Worker *w, double t, Scalar *bar)
{
  Filters unit;

  filters_at(g, t, NULL, &unit);
  to_modes(g, w, bar, w->z);
  for (size_t mode = 0; mode < g->modes; mode++)
    for (size_t i = 0; i < (size_t)g->bins; i++) w->y[i * g->modes + mode] = filtered(g, &unit, i, mode, w->z);
  to_maps(g, w, w->y, bar);
}

void guess_pull_back(Guess *g, const Scalar *t, Scalar *x_bar)
{
  if (!g) return;
  const size_t size = (size_t)g->bins * g->pixels;

#pragma omp parallel for num_threads(g->worker_count)
  for (PetscInt b = 0; b < g->batch; b++)
    pull_back(g, &g->workers[omp_get_thread_num()], (double)t[b], x_bar + (size_t)b * size);
}
