/** \file guess.c  The best linear guess of a map from its noisy version and the observation.  \ingroup training
 *
 * Mode by mode, with covariances of clean maps and observed data that were measured in bands of wavenumber over
 * training: x given d has the mean M d and the covariance L = U diag(lambda) U^T, of which z = t x + (1-t) noise says
 *
 *   M d + U diag(g) U^T (z - t M d),   g = t lambda/(t^2 lambda + (1-t)^2).
 *
 * The network is shown it beside z, and its products.  It leaves L's eigenvectors with the standard deviations r =
 * sqrt(lambda) (1-t)/sqrt(t^2 lambda + (1-t)^2). What the network answers is added in their units, U diag(r) U^T y: it
 * speaks of white noise of unit variance at all times and wavenumbers, as with ::OUTPUT_RESIDUAL for maps that are
 * white themselves.  Of the mean of a map the unit is the mean of y: its mode is the sum of all pixels, to which the
 * slightest offset in all answers would come up as that of white noise.
 *
 * Where parameters are known, the power of maps is that at these: modes of maps are larger than in the mean by the
 * amplitudes of guess_response_at(), and data are what they were, d = B x + noise.  Elsewhere it is that of the mean.
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

/* Covariances of x and, behind it, d, in the mean over the prior, and how d follows x. */
typedef struct {
  double both[2 * MOST][2 * MOST];
  double response[MOST][MOST], noise[MOST][MOST]; /* d = B x + noise */
} Covariance;

/* Eigenvectors and eigenvalues of a symmetric matrix. */
typedef struct {
  gsl_matrix *matrix, *vectors;
  gsl_vector *values;
  gsl_eigen_symmv_workspace *work;
} Eigen;

/* What one thread works with. */
typedef struct {
  Eigen eigen;
  Fourier *fourier;
  double _Complex *z, *y; /* [bins][modes] */
} Worker;

struct Guess {
  PetscInt bins, channels, parameters, ny, nx;
  size_t pixels, modes;
  Normalisation normalisation;
  Covariance covariance[GUESS_BANDS + 1];
  Band mean[GUESS_BANDS + 1]; /* over the prior */
  Band (*known)[GUESS_BANDS + 1]; /* [batch] at the parameters of each sample; NULL where none are ever known */
  const Band **bands; /* [batch] whichever of them is a sample's */
  int *band; /* [modes] */
  PetscInt batch;
  double _Complex *seen; /* [batch][bins][modes] M d */
  const Scalar *observation; /* [batch][channels][ny][nx], the caller's */
  Scalar *shown; /* [batch][SHOWN_KINDS][bins][ny][nx] */
  int worker_count;
  Worker *workers;
};

/* ---- covariances to filters ---- */

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

/* Of a covariance, by its eigenvectors. */
static void invert(Eigen *e, size_t n, double matrix[MOST][MOST], double inverse[MOST][MOST])
{
  decompose(e, n, matrix);
  const double most = gsl_vector_max(e->values);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      inverse[i][j] = 0;
      for (size_t k = 0; k < n; k++) {
        const double value = gsl_vector_get(e->values, k);

        if (value > least_share * most)
          inverse[i][j] += gsl_matrix_get(e->vectors, i, k) * gsl_matrix_get(e->vectors, j, k) / value;
      }
    }
}

/* What of one half follows from the other: M = S_12 S_22^-1, and L = S_11 - M S_21.
 * \param s [2 n][2 n] covariance  \param first  row of the half that follows, 0 or n */
static void regress(Eigen *e, size_t n, double s[2 * MOST][2 * MOST], size_t first, double m[MOST][MOST],
                    double left[MOST][MOST])
{
  const size_t other = n - first;
  double known[MOST][MOST], inverse[MOST][MOST];

  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) known[i][j] = s[other + i][other + j];
  invert(e, n, known, inverse);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      m[i][j] = 0;
      for (size_t k = 0; k < n; k++) m[i][j] += s[first + i][other + k] * inverse[k][j];
    }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      left[i][j] = s[first + i][first + j];
      for (size_t k = 0; k < n; k++) left[i][j] -= m[i][k] * s[other + k][first + j];
    }
}

static void solve_band(Eigen *e, size_t n, double s[2 * MOST][2 * MOST], Band *band)
{
  double left[MOST][MOST];

  regress(e, n, s, 0, band->mean, left);
  decompose(e, n, left);
  for (size_t k = 0; k < n; k++) {
    band->lambda[k] = fmax(gsl_vector_get(e->values, k), 0);
    for (size_t i = 0; i < n; i++) band->vector[i][k] = gsl_matrix_get(e->vectors, i, k);
  }
}

/* Of maps that are larger by an amplitude in each bin. */
static void scale(const Covariance *c, size_t n, const double *amplitude, double s[2 * MOST][2 * MOST])
{
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) s[i][j] = amplitude[i] * amplitude[j] * c->both[i][j];
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      s[i][n + j] = 0;
      for (size_t k = 0; k < n; k++) s[i][n + j] += s[i][k] * c->response[j][k];
      s[n + j][i] = s[i][n + j];
    }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      s[n + i][n + j] = c->noise[i][j];
      for (size_t k = 0; k < n; k++) s[n + i][n + j] += c->response[i][k] * s[k][n + j];
    }
}

static void follow(Guess *g, Worker *w, const Scalar *theta, Band bands[GUESS_BANDS + 1])
{
  double amplitude[GUESS_BANDS + 1][MOST], s[2 * MOST][2 * MOST];

  guess_response_at(&g->normalisation, theta, amplitude);
  for (size_t b = 0; b <= GUESS_BANDS; b++) {
    scale(&g->covariance[b], (size_t)g->bins, amplitude[b], s);
    solve_band(&w->eigen, (size_t)g->bins, s, &bands[b]);
  }
}

static void solve_bands(Guess *g, Eigen *e)
{
  const size_t bins = (size_t)g->bins, maps = 2 * bins;
  const double *value = g->normalisation.guess;

  for (size_t b = 0; b <= GUESS_BANDS; b++) {
    Covariance *c = &g->covariance[b];

    for (size_t i = 0; i < maps; i++)
      for (size_t j = i; j < maps; j++) c->both[i][j] = c->both[j][i] = *value++;
    regress(e, bins, c->both, bins, c->response, c->noise);
    solve_band(e, bins, c->both, &g->mean[b]);
  }
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
    PetscCall(eigen_create((size_t)g->bins, &g->workers[w].eigen));
    PetscCall(fourier_create(g->ny, g->nx, &g->workers[w].fourier));
    PetscCall(PetscMalloc2((size_t)g->bins * g->modes, &g->workers[w].z, (size_t)g->bins * g->modes, &g->workers[w].y));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

double guess_bytes(const NetworkShape *shape, PetscInt batch)
{
  const double pixels = (double)batch * (double)shape->bins * (double)shape->ny * (double)shape->nx;

  if (shape->config.output != OUTPUT_WIENER) return 0;
  return pixels * (double)(SHOWN_KINDS * sizeof(Scalar) + sizeof(double)); /* what is shown; modes, half of them */
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
  g->parameters = shape->parameters;
  g->normalisation = *normalisation;
  PetscCall(PetscMalloc1(g->modes, &g->band));
  PetscCall(place_modes(g));
  PetscCall(PetscMalloc1((size_t)(batch * g->bins) * g->modes, &g->seen));
  PetscCall(PetscMalloc1((size_t)(batch * SHOWN_KINDS * g->bins) * g->pixels, &g->shown));
  PetscCall(PetscMalloc1(batch, &g->bands));
  if (guess_response_count(shape)) PetscCall(PetscMalloc1(batch, &g->known));
  PetscCall(create_workers(g));
  solve_bands(g, &g->workers[0].eigen);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode guess_destroy(Guess **guess)
{
  Guess *g = *guess;

  PetscFunctionBeginUser;
  if (!g) PetscFunctionReturn(PETSC_SUCCESS);
  for (int w = 0; g->workers && w < g->worker_count; w++) {
    eigen_destroy(&g->workers[w].eigen);
    PetscCall(fourier_destroy(&g->workers[w].fourier));
    PetscCall(PetscFree2(g->workers[w].z, g->workers[w].y));
  }
  PetscCall(PetscFree(g->workers));
  PetscCall(PetscFree(g->seen));
  PetscCall(PetscFree(g->shown));
  PetscCall(PetscFree(g->band));
  PetscCall(PetscFree(g->bands));
  PetscCall(PetscFree(g->known));
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

static void turn(const Band *band, size_t n, const double *factor, double filter[MOST][MOST])
{
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      double sum = 0;

      for (size_t k = 0; k < n; k++) sum += band->vector[i][k] * factor[k] * band->vector[j][k];
      filter[i][j] = sum;
    }
}

/* By what z is weighed along an eigenvector, and the unit of what that leaves. */
static double gain(double lambda, double t)
{
  return t * lambda / (t * t * lambda + (1 - t) * (1 - t));
}

static double unit(double lambda, double t)
{
  return sqrt(lambda / (t * t * lambda + (1 - t) * (1 - t))) * (1 - t);
}

/* \param of_mean  what the factors of the map's mean are divided by */
static void filters_at(const Guess *g, const Band *bands, double t, double (*factor_of)(double lambda, double t),
                       double of_mean, Filters *filters)
{
  for (size_t b = 0; b <= GUESS_BANDS; b++) {
    double factor[MOST];

    for (size_t k = 0; k < (size_t)g->bins; k++) {
      const double lambda = bands[b].lambda[k];

      factor[k] = lambda > 0 ? factor_of(lambda, t) / (b > 0 ? 1 : of_mean) : 0;
    }
    turn(&bands[b], (size_t)g->bins, factor, filters->of[b]);
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

static void observe(Guess *g, Worker *w, const Band *bands, const Scalar *channels, double _Complex *seen)
{
  to_modes(g, w, channels, w->z);
  for (size_t i = 0; i < (size_t)g->bins; i++)
    for (size_t mode = 0; mode < g->modes; mode++) {
      double _Complex sum = 0;

      for (size_t j = 0; j < (size_t)g->bins; j++) sum += bands[g->band[mode]].mean[i][j] * w->z[j * g->modes + mode];
      seen[i * g->modes + mode] = sum;
    }
}

void guess_observe(Guess *g, PetscInt batch, const Scalar *observation, const Scalar *theta, const Scalar *t_theta)
{
  if (!g) return;
  g->batch = batch;
  g->observation = observation;
#pragma omp parallel for num_threads(g->worker_count)
  for (PetscInt b = 0; b < batch; b++) {
    Worker *const w = &g->workers[omp_get_thread_num()];

    g->bands[b] = g->mean;
    if (g->known && t_theta[b] >= 1) {
      follow(g, w, theta + (size_t)(b * g->parameters), g->known[b]);
      g->bands[b] = g->known[b];
    }
    observe(g, w, g->bands[b], observation + (size_t)(b * g->channels) * g->pixels,
            g->seen + (size_t)(b * g->bins) * g->modes);
  }
}

static void weigh_in(const Guess *g, Worker *w, const Band *bands, double t, const double _Complex *seen,
                     const Scalar *z, Scalar *guess)
{
  const size_t numbers = (size_t)g->bins * g->modes;
  Filters gains;

  filters_at(g, bands, t, gain, 1, &gains);
  to_modes(g, w, z, w->z);
  for (size_t i = 0; i < numbers; i++) w->z[i] -= t * seen[i];
  for (size_t i = 0; i < (size_t)g->bins; i++)
    for (size_t mode = 0; mode < g->modes; mode++)
      w->y[i * g->modes + mode] = seen[i * g->modes + mode] + filtered(g, &gains, i, mode, w->z);
  to_maps(g, w, w->y, guess);
}

/* What a map that is not Gaussian is beyond its linear guess begins with products of the guess and of what it has not
 * taken from z and from the data. */
static void multiply(size_t size, const Scalar *restrict observed, Scalar *restrict shown)
{
  const Scalar *z = shown + SHOWN_NOISY * size, *guess = shown + SHOWN_GUESS * size;

  for (size_t i = 0; i < size; i++) {
    shown[SHOWN_SQUARE * size + i] = guess[i] * guess[i];
    shown[SHOWN_BY_NOISY * size + i] = guess[i] * z[i];
    shown[SHOWN_BY_OBSERVATION * size + i] = guess[i] * observed[i];
  }
}

const Scalar *guess_maps(Guess *g, const Scalar *t, const Scalar *z)
{
  if (!g) return z;
  const size_t size = (size_t)g->bins * g->pixels;

#pragma omp parallel for num_threads(g->worker_count)
  for (PetscInt b = 0; b < g->batch; b++) {
    Scalar *shown = g->shown + SHOWN_KINDS * (size_t)b * size;

    memcpy(shown + SHOWN_NOISY * size, z + (size_t)b * size, size * sizeof *shown);
    weigh_in(g, &g->workers[omp_get_thread_num()], g->bands[b], (double)t[b],
             g->seen + (size_t)(b * g->bins) * g->modes, shown + SHOWN_NOISY * size, shown + SHOWN_GUESS * size);
    multiply(size, g->observation + (size_t)(b * g->channels) * g->pixels, shown);
  }
  return g->shown;
}

/* Maps by white noise of unit variance, or gradients: the filter is symmetric. */
static void turn_into_units(const Guess *g, Worker *w, const Band *bands, double t, Scalar *maps)
{
  const double of_mean = sqrt((double)g->pixels); /* its mode is that of what is of order 1 */
  Filters units;

  filters_at(g, bands, t, unit, of_mean, &units);
  to_modes(g, w, maps, w->z);
  for (size_t i = 0; i < (size_t)g->bins; i++)
    for (size_t mode = 0; mode < g->modes; mode++) w->y[i * g->modes + mode] = filtered(g, &units, i, mode, w->z);
  to_maps(g, w, w->y, maps);
}

static void apply_units(const Guess *g, const Scalar *t, Scalar *maps)
{
  const size_t size = (size_t)g->bins * g->pixels;

#pragma omp parallel for num_threads(g->worker_count)
  for (PetscInt b = 0; b < g->batch; b++)
    turn_into_units(g, &g->workers[omp_get_thread_num()], g->bands[b], (double)t[b], maps + (size_t)b * size);
}

void guess_complete(Guess *g, const Scalar *t, Scalar *x)
{
  if (!g) return;
  const size_t size = (size_t)g->bins * g->pixels;

  apply_units(g, t, x);
  for (size_t b = 0; b < (size_t)g->batch; b++)
    for (size_t i = 0; i < size; i++) x[b * size + i] += g->shown[(SHOWN_KINDS * b + SHOWN_GUESS) * size + i];
}

void guess_pull_back(Guess *g, const Scalar *t, Scalar *x_bar)
{
  if (!g) return;
  apply_units(g, t, x_bar);
}
