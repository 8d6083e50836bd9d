/** \file guess_response.c  How the power of maps follows parameters.  \ingroup training
 *
 * The logarithm of the power of a bin at given parameters, over that of its mean over the prior, is
 *
 *   q(theta, band) = offset(band) + sum over order and feature of coefficient x(band)^order feature(theta),
 *
 * with x from -1 in the first band to 1 in the last one, and for features the parameters and the products of two of
 * those of the cosmology.  The mean of a map, of which a realisation has but one mode, follows as the first band does.
 * Offsets make the mean of exp q over the sample 1.
 */
#include "internal.h"

#include <gsl/gsl_multifit.h>
#include <math.h>

/* Beyond this many standard deviations power is taken as there: squares are not to be trusted far out. */
static const double farthest = 3;

/* Coefficients are drawn to 0 as if there had been so many samples of no response, so that few do not make it up. */
static const double samples_of_none = 4;

static PetscInt product_count(PetscInt parameters)
{
  const PetscInt cosmology = PetscMin(parameters, NEPHRITE_WCDM_PARAMETERS);

  return cosmology * (cosmology + 1) / 2;
}

static PetscInt feature_count(PetscInt parameters)
{
  return parameters + product_count(parameters);
}

static PetscInt per_bin(PetscInt parameters)
{
  return GUESS_BANDS + 1 + RESPONSE_ORDERS * feature_count(parameters);
}

PetscInt guess_response_count(const NetworkShape *shape)
{
  const PetscBool known = shape->config.flow == FLOW_PARAMETERS_FIRST ? PETSC_TRUE : PETSC_FALSE;

  return guess_count(shape) && known ? shape->bins * per_bin(shape->parameters) : 0;
}

/* \param theta [parameters], normalised  \param[out] feature [feature_count()] */
static void features_of(PetscInt parameters, const double *theta, double *feature)
{
  double near[NEPHRITE_MAX_PARAMETERS];

  for (PetscInt p = 0; p < parameters; p++) *feature++ = near[p] = fmin(fmax(theta[p], -farthest), farthest);
  for (PetscInt p = 0; p < PetscMin(parameters, NEPHRITE_WCDM_PARAMETERS); p++)
    for (PetscInt q = p; q < PetscMin(parameters, NEPHRITE_WCDM_PARAMETERS); q++) *feature++ = near[p] * near[q];
}

/* Place of a band of ::Guess, of which 0 is that of the means. */
static double place_of(PetscInt band)
{
  return 2. * (double)(PetscMax(band, 1) - 1) / (GUESS_BANDS - 1) - 1;
}

/* q without its offset, of one bin.  \param coefficient [RESPONSE_ORDERS][features] */
static double shape_of(PetscInt band, PetscInt features, const double *coefficient, const double *feature)
{
  double sum = 0, power = 1;

  for (int order = 0; order < RESPONSE_ORDERS; order++, power *= place_of(band))
    for (PetscInt f = 0; f < features; f++) sum += power * *coefficient++ * feature[f];
  return sum;
}

void guess_response_at(const Normalisation *n, const Scalar *theta,
                       double amplitude[GUESS_BANDS + 1][NEPHRITE_MAX_BINS])
{
  const PetscInt features = feature_count(n->parameters);
  double values[NEPHRITE_MAX_PARAMETERS], feature[RESPONSE_MAX_FEATURES];

  for (PetscInt p = 0; p < n->parameters; p++) values[p] = (double)theta[p];
  features_of(n->parameters, values, feature);
  for (PetscInt bin = 0; bin < n->bins; bin++) {
    const double *offset = n->response + bin * per_bin(n->parameters), *coefficient = offset + GUESS_BANDS + 1;

    for (PetscInt band = 0; band <= GUESS_BANDS; band++)
      amplitude[band][bin] = exp((offset[band] + shape_of(band, features, coefficient, feature)) / 2);
  }
}

/* ---- from a sample ---- */

/* Least squares of |X c - y|^2 + ridge |c|^2. */
typedef struct {
  gsl_matrix *x;
  gsl_vector *y, *c;
  gsl_multifit_linear_workspace *work;
} Regression;

static PetscErrorCode regression_create(size_t rows, size_t columns, Regression *r)
{
  PetscFunctionBeginUser;
  rows = PetscMax(rows, columns); /* GSL decomposes no fewer, and does not say so: rows of 0 change nothing */
  *r = (Regression){gsl_matrix_calloc(rows, columns), gsl_vector_calloc(rows), gsl_vector_calloc(columns),
                    gsl_multifit_linear_alloc(rows, columns)};
  PetscCheck(r->x && r->y && r->c && r->work, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "no memory for a regression of %zu by %zu", rows, columns);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void regression_destroy(Regression *r)
{
  if (r->x) gsl_matrix_free(r->x);
  if (r->y) gsl_vector_free(r->y);
  if (r->c) gsl_vector_free(r->c);
  if (r->work) gsl_multifit_linear_free(r->work);
}

/* Once for all y of an X. */
static PetscErrorCode decompose(Regression *r)
{
  PetscFunctionBeginUser;
  NEPHRITE_GSL(gsl_multifit_linear_svd(r->x, r->work), "power of maps by parameters");
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode regress(Regression *r, double ridge)
{
  double residual, length;

  PetscFunctionBeginUser;
  NEPHRITE_GSL(gsl_multifit_linear_solve(sqrt(ridge), r->x, r->y, r->c, &residual, &length, r->work),
               "power of maps by parameters");
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What the fit of a bin works with. */
typedef struct {
  const ResponseSample *sample;
  PetscInt features;
  double root[GUESS_BANDS + 1]; /* of the number of modes, which is one over the variance of the logarithm of power */
  double *feature; /* [rows][features] */
  double *level; /* [RESPONSE_ORDERS][rows] the polynomial through the logarithms of a realisation's bands */
  Regression bands, samples;
} Fit;

static PetscErrorCode fit_create(const ResponseSample *sample, Fit *fit)
{
  PetscFunctionBeginUser;
  *fit = (Fit){.sample = sample, .features = feature_count(sample->parameters)};
  PetscCall(PetscMalloc1((size_t)(sample->rows * fit->features), &fit->feature));
  PetscCall(PetscMalloc1((size_t)(RESPONSE_ORDERS * sample->rows), &fit->level));
  PetscCall(regression_create(GUESS_BANDS, RESPONSE_ORDERS, &fit->bands));
  PetscCall(regression_create((size_t)sample->rows, (size_t)fit->features, &fit->samples));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fit_destroy(Fit *fit)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(fit->feature));
  PetscCall(PetscFree(fit->level));
  regression_destroy(&fit->bands);
  regression_destroy(&fit->samples);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Features less their means: what is constant is the offsets'. */
static PetscErrorCode prepare_samples(Fit *fit)
{
  const ResponseSample *s = fit->sample;

  PetscFunctionBeginUser;
  for (int64_t row = 0; row < s->rows; row++)
    features_of(s->parameters, s->theta + row * s->parameters, fit->feature + row * fit->features);
  for (PetscInt f = 0; f < fit->features; f++) {
    double mean = 0;

    for (int64_t row = 0; row < s->rows; row++) mean += fit->feature[row * fit->features + f] / (double)s->rows;
    for (int64_t row = 0; row < s->rows; row++)
      gsl_matrix_set(fit->samples.x, (size_t)row, (size_t)f, fit->feature[row * fit->features + f] - mean);
  }
  PetscCall(decompose(&fit->samples));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode count_modes(const ResponseSample *s, double modes[GUESS_BANDS + 1])
{
  BandPowers *bands = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscArrayzero(modes, GUESS_BANDS + 1));
  PetscCall(band_powers_create(s->ny, s->nx, 1, GUESS_BANDS, BANDS_TO_CORNER, &bands));
  for (PetscInt y = 0; y < s->ny; y++)
    for (PetscInt x = 0; x <= s->nx / 2; x++) modes[1 + band_powers_band(bands, y, x)] += x && 2 * x < s->nx ? 2 : 1;
  PetscCall(band_powers_destroy(&bands));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode prepare_bands(Fit *fit)
{
  PetscFunctionBeginUser;
  PetscCall(count_modes(fit->sample, fit->root));
  for (PetscInt band = 0; band <= GUESS_BANDS; band++) fit->root[band] = sqrt(fit->root[band]);
  for (PetscInt band = 1; band <= GUESS_BANDS; band++) {
    double value = fit->root[band];

    for (size_t order = 0; order < RESPONSE_ORDERS; order++, value *= place_of(band))
      gsl_matrix_set(fit->bands.x, (size_t)band - 1, order, value);
  }
  PetscCall(decompose(&fit->bands));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Of maps that have no power at all the logarithm is that of the least there is. */
static PetscErrorCode find_levels(Fit *fit, PetscInt bin)
{
  const double tiny_ridge = 1e-9;
  const ResponseSample *s = fit->sample;

  PetscFunctionBeginUser;
  for (int64_t row = 0; row < s->rows; row++) {
    for (PetscInt band = 1; band <= GUESS_BANDS; band++) {
      const double power = s->power[(row * (GUESS_BANDS + 1) + band) * s->bins + bin];

      gsl_vector_set(fit->bands.y, (size_t)band - 1, fit->root[band] * log(fmax(power, PETSC_MACHINE_EPSILON)));
    }
    PetscCall(regress(&fit->bands, tiny_ridge));
    for (size_t order = 0; order < RESPONSE_ORDERS; order++)
      fit->level[order * (size_t)s->rows + (size_t)row] = gsl_vector_get(fit->bands.c, order);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode find_coefficients(Fit *fit, double *coefficient)
{
  const size_t rows = (size_t)fit->sample->rows;

  PetscFunctionBeginUser;
  for (size_t order = 0; order < RESPONSE_ORDERS; order++) {
    const double *level = fit->level + order * rows;
    double mean = 0;

    for (size_t row = 0; row < rows; row++) mean += level[row] / (double)rows;
    for (size_t row = 0; row < rows; row++) gsl_vector_set(fit->samples.y, row, level[row] - mean);
    PetscCall(regress(&fit->samples, samples_of_none));
    for (PetscInt f = 0; f < fit->features; f++) *coefficient++ = gsl_vector_get(fit->samples.c, (size_t)f);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void find_offsets(const Fit *fit, const double *coefficient, double *offset)
{
  for (PetscInt band = 0; band <= GUESS_BANDS; band++) {
    double mean = 0;

    for (int64_t row = 0; row < fit->sample->rows; row++)
      mean += exp(shape_of(band, fit->features, coefficient, fit->feature + row * fit->features));
    offset[band] = -log(mean / (double)fit->sample->rows);
  }
}

static PetscErrorCode fit_bins(Fit *fit, double *response)
{
  PetscFunctionBeginUser;
  PetscCall(prepare_samples(fit));
  PetscCall(prepare_bands(fit));
  for (PetscInt bin = 0; bin < fit->sample->bins; bin++, response += per_bin(fit->sample->parameters)) {
    PetscCall(find_levels(fit, bin));
    PetscCall(find_coefficients(fit, response + GUESS_BANDS + 1));
    find_offsets(fit, response + GUESS_BANDS + 1, response);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode guess_response_fit(const ResponseSample *sample, double *response)
{
  Fit fit;

  PetscFunctionBeginUser;
  PetscErrorCode error = fit_create(sample, &fit);
  if (!error) error = fit_bins(&fit, response);
  PetscCall(fit_destroy(&fit));
  PetscFunctionReturn(error);
}
