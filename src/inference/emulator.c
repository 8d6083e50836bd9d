/** \file emulator.c  Spectra and shifts as polynomials of the parameters.  \ingroup inference
 *
 * A lensing model takes milliseconds, and its derivatives by six parameters a dozen times as many; a sum of some
 * hundreds of products of Legendre polynomials, fitted to it by least squares, takes microseconds with all derivatives.
 * It is fitted anew for each survey and prior, where that prior has nearly all of its mass. */
#include "inference/internal.h"

#include <cblas.h>
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_qrng.h>
#include <math.h>

/* Few terms, and more points than terms by a factor that keeps a fit from swinging between them; of few terms so many
 * that they reach far into the prior. */
enum { MOST_TERMS = 1000, POINTS_PER_TERM = 3, LEAST_POINTS = 250, MOST_DEGREE = 12 };
/* Points are drawn from normals this much wider than the prior, so that its tails have some. */
#define WIDTH 1.05
/* Relative to the diagonal of the normal equations: keeps terms small that hardly any point tells of. */
#define RIDGE 1e-12

/* What spectra are closest to polynomials in: ln Omega_m, Omega_b/Omega_m, ln sigma_8, and other parameters as they
 * are.
 */
typedef struct {
  enum { MATTER, BARYONS, LOGARITHM, PARAMETER } kind;
  PetscInt parameter; /* of the last two */
} Coordinate;

struct Emulator {
  const Prior *prior; /* borrowed */
  LensingModel *model;
  LensingSpectra *spectra; /* at the parameters of the last emulator_evaluate(): */
  double theta[NEPHRITE_MAX_PARAMETERS];
  PetscInt parameters, free; /* free: those that are not fixed, and as many coordinates */
  Coordinate coordinate[NEPHRITE_MAX_PARAMETERS];
  double low[NEPHRITE_MAX_PARAMETERS], high[NEPHRITE_MAX_PARAMETERS]; /* of each coordinate, where it is fitted */
  PetscInt degree, terms, powers, outputs; /* powers: outputs before the shifts */
  unsigned char *order; /* [terms][free] of the Legendre polynomials whose product a term is */
  double *coefficient; /* [terms][outputs] */
  PetscBool *logarithm; /* [outputs] is it the logarithm that is fitted? */
  /* At the parameters at hand: */
  PetscBool within[NEPHRITE_MAX_PARAMETERS]; /* each coordinate, its bounds */
  double legendre[NEPHRITE_MAX_PARAMETERS][MOST_DEGREE + 1], slope[NEPHRITE_MAX_PARAMETERS][MOST_DEGREE + 1];
  double *term, *weight; /* [terms] values of the terms, and derivatives by them */
  double *value, *bar; /* [outputs] */
};

/* LAPACK */
void dpotrf_(const char *triangle, const int *n, double *a, const int *lda, int *info);
void dpotrs_(const char *triangle, const int *n, const int *columns, const double *a, const int *lda, double *b,
             const int *ldb, int *info);

/* ------------------------------------------------------------------ coordinates */

enum { OMEGA_C, OMEGA_B, SIGMA_8 }; /* in theta: prior_count() */

static void add_coordinate(Emulator *e, Coordinate coordinate)
{
  e->coordinate[e->free++] = coordinate;
}

static void choose_coordinates(Emulator *e)
{
  const PetscBool cold = !prior_is_fixed(e->prior, OMEGA_C), baryons = !prior_is_fixed(e->prior, OMEGA_B);

  if (cold || baryons) add_coordinate(e, (Coordinate){MATTER, 0});
  if (cold && baryons) add_coordinate(e, (Coordinate){BARYONS, 0});
  for (PetscInt p = SIGMA_8; p < e->parameters; p++)
    if (!prior_is_fixed(e->prior, p)) add_coordinate(e, (Coordinate){p == SIGMA_8 ? LOGARITHM : PARAMETER, p});
}

/* Of physical parameters. */
static double coordinate_of(const Coordinate *coordinate, const double *theta)
{
  const double matter = theta[OMEGA_C] + theta[OMEGA_B];

  switch (coordinate->kind) {
  case MATTER:
    return log(matter);
  case BARYONS:
    return theta[OMEGA_B] / matter;
  case LOGARITHM:
    return log(theta[coordinate->parameter]);
  default:
    return theta[coordinate->parameter];
  }
}

/* From a derivative by a coordinate to what it adds to those by the parameters. */
static void coordinate_pull_back(const Coordinate *coordinate, const double *theta, double bar, double *theta_bar)
{
  const double matter = theta[OMEGA_C] + theta[OMEGA_B];

  switch (coordinate->kind) {
  case MATTER:
    theta_bar[OMEGA_C] += bar / matter;
    theta_bar[OMEGA_B] += bar / matter;
    break;
  case BARYONS:
    theta_bar[OMEGA_C] -= bar * theta[OMEGA_B] / (matter * matter);
    theta_bar[OMEGA_B] += bar * theta[OMEGA_C] / (matter * matter);
    break;
  case LOGARITHM:
    theta_bar[coordinate->parameter] += bar / theta[coordinate->parameter];
    break;
  default:
    theta_bar[coordinate->parameter] += bar;
  }
}

/* ------------------------------------------------------------------ terms */

/* Products of n polynomials with at most this degree in all. */
static double count_terms(PetscInt n, PetscInt degree)
{
  double count = 1;

  for (PetscInt i = 1; i <= degree; i++) count *= (double)(n + i) / (double)i;
  return round(count);
}

static void choose_degree(Emulator *e)
{
  e->degree = 1;
  while (e->degree < MOST_DEGREE && count_terms(e->free, e->degree + 1) <= MOST_TERMS) e->degree++;
  e->terms = (PetscInt)count_terms(e->free, e->degree);
}

/* From one term's orders to the next one's, in lexicographic order.  \return are there more? */
static PetscBool next_orders(const Emulator *e, unsigned char *order)
{
  PetscInt sum = 0;

  for (PetscInt i = 0; i < e->free; i++) sum += order[i];
  for (PetscInt i = 0; i < e->free; i++) {
    if (sum < e->degree) {
      order[i]++;
      return PETSC_TRUE;
    }
    sum -= order[i];
    order[i] = 0;
  }
  return PETSC_FALSE;
}

static void list_terms(Emulator *e)
{
  unsigned char order[NEPHRITE_MAX_PARAMETERS] = {0};
  unsigned char *next = e->order;

  do
    for (PetscInt i = 0; i < e->free; i++) *next++ = order[i];
  while (next_orders(e, order));
}

/* Bonnet's recursion, and that of the derivatives. */
static void fill_legendre(const Emulator *e, double x, double *value, double *slope)
{
  value[0] = 1;
  slope[0] = 0;
  for (PetscInt n = 1; n <= e->degree; n++) {
    value[n] = n == 1 ? x : ((double)(2 * n - 1) * x * value[n - 1] - (double)(n - 1) * value[n - 2]) / (double)n;
    slope[n] = (double)n * value[n - 1] + x * slope[n - 1];
  }
}

/* Of physical parameters.  Beyond the box, where a polynomial would run away, they are as at its edge.
 * \param[out] term [terms] */
static void fill_terms(Emulator *e, const double *theta, double *term)
{
  for (PetscInt i = 0; i < e->free; i++) {
    const double x = 2 * (coordinate_of(&e->coordinate[i], theta) - e->low[i]) / (e->high[i] - e->low[i]) - 1;

    e->within[i] = fabs(x) <= 1 ? PETSC_TRUE : PETSC_FALSE;
    fill_legendre(e, fmax(fmin(x, 1), -1), e->legendre[i], e->slope[i]);
  }
  for (PetscInt t = 0; t < e->terms; t++) {
    const unsigned char *order = e->order + t * e->free;

    term[t] = 1;
    for (PetscInt i = 0; i < e->free; i++) term[t] *= e->legendre[i][order[i]];
  }
}

/* ------------------------------------------------------------------ creation */

static PetscErrorCode allocate(Emulator *e, const SurveyConfig *survey)
{
  PetscFunctionBeginUser;
  PetscCall(lensing_model_for_survey(survey, &e->model));
  PetscCall(lensing_model_spectra_create(e->model, &e->spectra));
  choose_degree(e);
  e->powers = survey->bins * (survey->bins + 1) / 2 * e->spectra->ell_count;
  e->outputs = e->powers + (survey->field == FIELD_GAUSSIAN ? 0 : survey->bins); /* Gaussian fields have no shifts */
  const size_t terms = (size_t)e->terms, outputs = (size_t)e->outputs;
  PetscCall(PetscMalloc4(terms * (size_t)e->free, &e->order, terms * outputs, &e->coefficient, outputs, &e->logarithm,
                         terms, &e->term));
  PetscCall(PetscMalloc3(terms, &e->weight, outputs, &e->value, outputs, &e->bar));
  list_terms(e);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Points at which the model is evaluated. */
typedef struct {
  PetscInt count, known; /* known: of them that have spectra */
  double *theta; /* [count][parameters] */
  double *output; /* [count][outputs] of the first known */
} Sample;

/* What the model says, or that there is no such universe or field. */
static PetscErrorCode evaluate_model(Emulator *e, const double *theta, double *output, PetscBool *exist)
{
  PetscFunctionBeginUser;
  PetscCall(spectra_at(e->model, e->prior, theta, e->spectra, exist));
  if (!*exist) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscArraycpy(output, e->spectra->power, e->powers));
  PetscCall(PetscArraycpy(output + e->powers, e->spectra->shift, e->outputs - e->powers));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Normals by a Sobol sequence, which leaves nothing out.  \param[out] theta [parameters] */
static void place_point(const Emulator *e, const gsl_qrng *sobol, double *theta)
{
  double share[NEPHRITE_MAX_PARAMETERS], u[NEPHRITE_MAX_PARAMETERS] = {0};
  PetscInt next = 0;

  gsl_qrng_get(sobol, share);
  for (PetscInt p = 0; p < e->parameters; p++)
    if (!prior_is_fixed(e->prior, p)) u[p] = WIDTH * gsl_cdf_ugaussian_Pinv(share[next++]);
  prior_from_normal(e->prior, u, theta, NULL);
}

/* Let the box of the coordinates reach as far as the points. */
static void fit_box(Emulator *e, const Sample *sample)
{
  for (PetscInt i = 0; i < e->free; i++) {
    e->low[i] = INFINITY;
    e->high[i] = -INFINITY;
    for (PetscInt n = 0; n < sample->known; n++) {
      const double x = coordinate_of(&e->coordinate[i], sample->theta + n * e->parameters);

      e->low[i] = fmin(e->low[i], x);
      e->high[i] = fmax(e->high[i], x);
    }
  }
}

static PetscErrorCode evaluate_sample(Emulator *e, const gsl_qrng *sobol, Sample *sample)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < sample->count; i++) {
    double *theta = sample->theta + sample->known * e->parameters;
    PetscBool exist;

    PetscCheck(!interrupt_seen(), PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED, "interrupted before the chains began");
    place_point(e, sobol, theta);
    PetscCall(evaluate_model(e, theta, sample->output + sample->known * e->outputs, &exist));
    if (exist) sample->known++;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The normal equations of the points, and their Cholesky factor. */
typedef struct {
  double *design; /* [known][terms] */
  double *factor; /* [terms][terms] lower */
  double *side; /* [outputs][terms] right-hand sides, then coefficients */
  double *fitted; /* [known][outputs] */
} Equations;

static PetscErrorCode factorise(Emulator *e, const Sample *sample, Equations *q)
{
  const int terms = (int)e->terms, known = (int)sample->known;
  double trace = 0;
  int info = 0;

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < sample->known; i++)
    fill_terms(e, sample->theta + i * e->parameters, q->design + i * e->terms);
  cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, terms, known, 1, q->design, terms, 0, q->factor, terms);
  for (PetscInt t = 0; t < e->terms; t++) trace += q->factor[t * e->terms + t];
  for (PetscInt t = 0; t < e->terms; t++) q->factor[t * e->terms + t] += RIDGE * trace / (double)e->terms;
  dpotrf_("U", &terms, q->factor, &terms, &info); /* upper by columns is lower by rows */
  PetscCheck(!info, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "the spectra of %d universes do not determine %d terms (LAPACK dpotrf, info %d)", known, terms, info);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Least squares of all outputs: q->side and q->fitted. */
static void solve(const Emulator *e, const Sample *sample, Equations *q)
{
  const int terms = (int)e->terms, outputs = (int)e->outputs, known = (int)sample->known;
  int info = 0; /* of arguments alone */

  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, outputs, terms, known, 1, sample->output, outputs, q->design,
              terms, 0, q->side, terms);
  dpotrs_("U", &terms, &outputs, q->factor, &terms, q->side, &terms, &info);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, known, outputs, terms, 1, q->design, terms, q->side, terms, 0,
              q->fitted, outputs);
}

/* Sum of squared relative errors of an output at the points. */
static double misfit(const Emulator *e, const Sample *sample, const Equations *q, PetscInt output, PetscBool logarithm)
{
  double sum = 0;

  for (PetscInt i = 0; i < sample->known; i++) {
    const double fitted = q->fitted[i * e->outputs + output], value = sample->output[i * e->outputs + output];
    const double error = logarithm ? expm1(fitted - value) : fitted / value - 1;

    sum += error * error;
  }
  return sum;
}

static void take_coefficients(Emulator *e, const Equations *q, PetscInt output)
{
  for (PetscInt t = 0; t < e->terms; t++) e->coefficient[t * e->outputs + output] = q->side[output * e->terms + t];
}

static PetscBool is_positive(const Emulator *e, const Sample *sample, PetscInt output)
{
  for (PetscInt i = 0; i < sample->known; i++)
    if (sample->output[i * e->outputs + output] <= 0) return PETSC_FALSE;
  return PETSC_TRUE;
}

/* Each output as a polynomial, or where it errs less as the exponential of one. */
static PetscErrorCode choose_fits(Emulator *e, Sample *sample, Equations *q)
{
  double *plain = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)e->outputs, &plain));
  solve(e, sample, q);
  for (PetscInt o = 0; o < e->outputs; o++) {
    plain[o] = misfit(e, sample, q, o, PETSC_FALSE);
    take_coefficients(e, q, o);
    e->logarithm[o] = is_positive(e, sample, o);
    for (PetscInt i = 0; i < sample->known && e->logarithm[o]; i++)
      sample->output[i * e->outputs + o] = log(sample->output[i * e->outputs + o]);
  }
  solve(e, sample, q);
  for (PetscInt o = 0; o < e->outputs; o++) {
    if (e->logarithm[o] && misfit(e, sample, q, o, PETSC_TRUE) > plain[o]) e->logarithm[o] = PETSC_FALSE;
    if (e->logarithm[o]) take_coefficients(e, q, o);
  }
  PetscCall(PetscFree(plain));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fit(Emulator *e, Sample *sample)
{
  const size_t known = (size_t)sample->known, terms = (size_t)e->terms, outputs = (size_t)e->outputs;
  Equations q = {0};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCheck(sample->known >= e->terms, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "only %d of %d universes of this prior have spectra: too few to fit them; a narrower prior would help",
             (int)sample->known, (int)sample->count);
  fit_box(e, sample);
  PetscCall(PetscMalloc4(known * terms, &q.design, terms * terms, &q.factor, outputs * terms, &q.side, known * outputs,
                         &q.fitted));
  error = factorise(e, sample, &q);
  if (!error) error = choose_fits(e, sample, &q);
  PetscCall(PetscFree4(q.design, q.factor, q.side, q.fitted));
  PetscFunctionReturn(error);
}

static PetscErrorCode fit_to_model(Emulator *e)
{
  Sample sample = {.count = PetscMax(POINTS_PER_TERM * e->terms, LEAST_POINTS)};
  gsl_qrng *sobol = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc2((size_t)sample.count * (size_t)e->parameters, &sample.theta,
                         (size_t)sample.count * (size_t)e->outputs, &sample.output));
  sobol = gsl_qrng_alloc(gsl_qrng_sobol, (unsigned)PetscMax(e->free, 1));
  error = sobol ? evaluate_sample(e, sobol, &sample) : PETSC_ERR_MEM;
  if (!error) error = fit(e, &sample);
  if (sobol) gsl_qrng_free(sobol);
  PetscCall(PetscFree2(sample.theta, sample.output));
  PetscFunctionReturn(error);
}

PetscErrorCode emulator_create(const SurveyConfig *survey, const Prior *prior, Emulator **emulator)
{
  Emulator *e = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&e));
  *emulator = e;
  e->prior = prior;
  e->parameters = prior_count(prior);
  choose_coordinates(e);
  PetscCall(allocate(e, survey));
  PetscCall(fit_to_model(e));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode emulator_destroy(Emulator **emulator)
{
  Emulator *e = *emulator;

  PetscFunctionBeginUser;
  if (!e) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree4(e->order, e->coefficient, e->logarithm, e->term));
  PetscCall(PetscFree3(e->weight, e->value, e->bar));
  PetscCall(lensing_spectra_destroy(&e->spectra));
  PetscCall(lensing_model_destroy(&e->model));
  PetscCall(PetscFree(*emulator));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ use */

PetscErrorCode emulator_evaluate(Emulator *e, const double *theta, const LensingSpectra **spectra)
{
  Cosmology cosmology;
  Systematics systematics;

  PetscFunctionBeginUser;
  PetscCall(prior_cosmology(e->prior, theta, &cosmology, &systematics));
  *spectra = NULL;
  if (!cosmology_is_physical(&cosmology)) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscArraycpy(e->theta, theta, e->parameters));
  fill_terms(e, theta, e->term);
  cblas_dgemv(CblasRowMajor, CblasTrans, (int)e->terms, (int)e->outputs, 1, e->coefficient, (int)e->outputs, e->term, 1,
              0, e->value, 1);
  for (PetscInt o = 0; o < e->outputs; o++)
    if (e->logarithm[o]) e->value[o] = exp(e->value[o]);
  PetscCall(PetscArraycpy(e->spectra->power, e->value, e->powers));
  PetscCall(PetscArraycpy(e->spectra->shift, e->value + e->powers, e->outputs - e->powers));
  *spectra = e->spectra;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Sum over terms of weight dterm/dx_i. */
static double slope_along(const Emulator *e, PetscInt i)
{
  double sum = 0;

  for (PetscInt t = 0; t < e->terms; t++) {
    const unsigned char *order = e->order + t * e->free;
    double slope = e->weight[t] * e->slope[i][order[i]];

    if (!order[i]) continue;
    for (PetscInt j = 0; j < e->free; j++)
      if (j != i) slope *= e->legendre[j][order[j]];
    sum += slope;
  }
  return sum;
}

PetscErrorCode emulator_pull_back(Emulator *e, const LensingSpectra *bar, double *theta_bar)
{
  PetscFunctionBeginUser;
  for (PetscInt o = 0; o < e->outputs; o++) {
    const double by_output = o < e->powers ? bar->power[o] : bar->shift[o - e->powers];

    e->bar[o] = by_output * (e->logarithm[o] ? e->value[o] : 1);
  }
  cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)e->terms, (int)e->outputs, 1, e->coefficient, (int)e->outputs, e->bar,
              1, 0, e->weight, 1);
  PetscCall(PetscArrayzero(theta_bar, e->parameters));
  for (PetscInt i = 0; i < e->free; i++)
    if (e->within[i])
      coordinate_pull_back(&e->coordinate[i], e->theta, slope_along(e, i) * 2 / (e->high[i] - e->low[i]), theta_bar);
  PetscFunctionReturn(PETSC_SUCCESS);
}
