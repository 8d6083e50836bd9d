/** \file prior.c  The prior of the parameters, and keyed draws from it.  \ingroup campaign */
#include "nephrite/campaign.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum { NORMAL, TRUNCATED_NORMAL, UNIFORM, FIXED } Kind;

static const struct {
  const char *name, *arguments;
  int count;
} kinds[] = {[NORMAL] = {"normal", "MEAN,STD", 2},
             [TRUNCATED_NORMAL] = {"truncated_normal", "MEAN,STD,LOW,HIGH", 4},
             [UNIFORM] = {"uniform", "LOW,HIGH", 2},
             [FIXED] = {"fixed", "VALUE", 1}};

/* One parameter's distribution; a normal is one truncated at infinity. */
typedef struct {
  char name[32];
  Kind kind;
  double mean, std, low, high; /* FIXED: low is the value */
} Distribution;

/* Bounds so far out that less of the normal than this lies between them cannot be meant, nor computed. */
#define LEAST_MASS 1e-300

struct Prior {
  PetscInt bins, count;
  Distribution entry[PRIOR_ENTRIES];
  PetscInt parameter[NEPHRITE_MAX_PARAMETERS]; /* [count] index of the entry of each parameter of theta */
};

/* ---- the normal between two bounds ---- */

/* Share of the normal on one side of x: above it where both bounds are above the mean, so that what lies far out is not
 * the difference of two numbers next to 1. */
static double tail(const Distribution *d, double x)
{
  const double z = (x - d->mean) / d->std;

  return d->low > d->mean ? gsl_cdf_ugaussian_Q(z) : gsl_cdf_ugaussian_P(z);
}

/* Share of the normal between the bounds. */
static double mass_within(const Distribution *d)
{
  return fabs(tail(d, d->high) - tail(d, d->low));
}

/* ---- reading ---- */

static PetscErrorCode refuse(const char *option, const char *text, const char *why)
{
  PetscFunctionBeginUser;
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
          "option %s is \"%s\": %s; write normal:MEAN,STD, truncated_normal:MEAN,STD,LOW,HIGH, uniform:LOW,HIGH or "
          "fixed:VALUE",
          option, text, why);
}

static PetscBool parse_numbers(const char *text, int count, double *number)
{
  for (int i = 0; i < count; i++) {
    char *end = NULL;

    number[i] = strtod(text, &end);
    if (end == text || !isfinite(number[i]) || *end != (i + 1 < count ? ',' : '\0')) return PETSC_FALSE;
    text = end + 1;
  }
  return PETSC_TRUE;
}

static PetscErrorCode set_distribution(const char *option, const char *text, const double *number, Distribution *d)
{
  PetscFunctionBeginUser;
  d->low = -INFINITY;
  d->high = INFINITY;
  if (d->kind == NORMAL || d->kind == TRUNCATED_NORMAL) {
    d->mean = number[0];
    d->std = number[1];
    if (!(d->std > 0)) PetscCall(refuse(option, text, "the standard deviation must be positive"));
  }
  if (d->kind == TRUNCATED_NORMAL || d->kind == UNIFORM) {
    d->low = number[d->kind == UNIFORM ? 0 : 2];
    d->high = number[d->kind == UNIFORM ? 1 : 3];
    if (!(d->low < d->high)) PetscCall(refuse(option, text, "LOW must be below HIGH"));
  }
  if (d->kind == TRUNCATED_NORMAL && !(mass_within(d) > LEAST_MASS))
    PetscCall(refuse(option, text, "the normal has nothing between LOW and HIGH"));
  if (d->kind == FIXED) d->low = number[0];
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode parse_distribution(const char *option, const char *text, Distribution *d)
{
  const size_t length = strcspn(text, ":");

  PetscFunctionBeginUser;
  for (int k = 0; k < (int)(sizeof kinds / sizeof *kinds); k++) {
    double number[4];

    if (strlen(kinds[k].name) != length || strncmp(kinds[k].name, text, length) || !text[length]) continue;
    if (!parse_numbers(text + length + 1, kinds[k].count, number))
      PetscCall(refuse(option, text, "its numbers cannot be read"));
    d->kind = (Kind)k;
    PetscFunctionReturn(set_distribution(option, text, number, d));
  }
  PetscCall(refuse(option, text, "no such distribution"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Nuisances of a bin that the survey lacks must stay at their default. */
static PetscErrorCode check_bin(const Prior *prior, PetscInt entry, const char *option)
{
  const PetscInt first = NEPHRITE_WCDM_PARAMETERS + 3, bin = entry < first ? 0 : (entry - first) % NEPHRITE_MAX_BINS;
  const Distribution *d = &prior->entry[entry];

  PetscFunctionBeginUser;
  PetscCheck(bin < prior->bins || (d->kind == FIXED && d->low == 0), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "option %s is set, but there are only %" PetscInt_FMT " bins", option, prior->bins);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode prior_create(const PriorConfig *config, PetscInt bins, Prior **prior)
{
  Prior *p = NULL;
  const size_t prefix = strlen("prior_");

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&p));
  *prior = p;
  p->bins = bins;
  for (PetscInt i = 0; i < PRIOR_ENTRIES; i++) {
    const char *option = prior_options.specs[i].name;

    PetscCall(PetscStrncpy(p->entry[i].name, option + prefix, sizeof p->entry[i].name));
    PetscCall(parse_distribution(option, config->distribution[i], &p->entry[i]));
    PetscCall(check_bin(p, i, option));
    /* The six of wCDM are always part of theta, so that its layout is the same whatever is fixed. */
    if (i < NEPHRITE_WCDM_PARAMETERS || p->entry[i].kind != FIXED) p->parameter[p->count++] = i;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode prior_destroy(Prior **prior)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(*prior));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscInt prior_count(const Prior *prior)
{
  return prior->count;
}

const char *prior_name(const Prior *prior, PetscInt parameter)
{
  return prior->entry[prior->parameter[parameter]].name;
}

void prior_describe(const Prior *prior, const double *theta, char *text, size_t size)
{
  size_t used = 0;

  text[0] = '\0';
  for (PetscInt p = 0; p < prior->count && used < size; p++)
    used += (size_t)snprintf(text + used, size - used, "%s%s %.6g", p ? ", " : "", prior_name(prior, p), theta[p]);
}

/* ---- values ---- */

/* The u-quantile: one uniform number makes one value, whatever the truncation. */
static double quantile(const Distribution *d, double u)
{
  if (d->kind == FIXED) return d->low;
  if (d->kind == UNIFORM) return d->low + (d->high - d->low) * u;
  const double from = tail(d, d->low), to = tail(d, d->high), share = from + (to - from) * u;
  const double z = d->low > d->mean ? gsl_cdf_ugaussian_Qinv(share) : gsl_cdf_ugaussian_Pinv(share);
  return fmin(fmax(d->mean + d->std * z, d->low), d->high);
}

PetscBool prior_is_fixed(const Prior *prior, PetscInt parameter)
{
  return prior->entry[prior->parameter[parameter]].kind == FIXED ? PETSC_TRUE : PETSC_FALSE;
}

void prior_bounds(const Prior *prior, PetscInt parameter, double *low, double *high)
{
  const Distribution *d = &prior->entry[prior->parameter[parameter]];
  const PetscBool bounded = d->kind != FIXED && isfinite(d->low) && isfinite(d->high) ? PETSC_TRUE : PETSC_FALSE;

  *low = bounded ? d->low : 0;
  *high = bounded ? d->high : 0;
}

/* Of both ways between values and normals: shares are counted from the end that is nearer, so that none is the
 * difference of two numbers next to 1. */

double interval_from_normal(double low, double high, double u)
{
  return u < 0 ? low + (high - low) * gsl_cdf_ugaussian_P(u) : high - (high - low) * gsl_cdf_ugaussian_Q(u);
}

static double normal_of_shares(double below, double above)
{
  return below < above ? gsl_cdf_ugaussian_Pinv(below) : gsl_cdf_ugaussian_Qinv(above);
}

double interval_to_normal(double low, double high, double value)
{
  return normal_of_shares((value - low) / (high - low), (high - value) / (high - low));
}

/* The value below which there is as much of the distribution as of a standard normal below u. */
static double from_normal(const Distribution *d, double u)
{
  if (d->kind == FIXED) return d->low;
  if (d->kind == NORMAL) return d->mean + d->std * u;
  if (d->kind == UNIFORM) return interval_from_normal(d->low, d->high, u);
  const double low = (d->low - d->mean) / d->std, high = (d->high - d->mean) / d->std, mass = mass_within(d);
  const PetscBool from_above = low > 0 || (high >= 0 && u > 0) ? PETSC_TRUE : PETSC_FALSE;
  const double z = from_above ? gsl_cdf_ugaussian_Qinv(gsl_cdf_ugaussian_Q(high) + mass * gsl_cdf_ugaussian_Q(u))
                              : gsl_cdf_ugaussian_Pinv(gsl_cdf_ugaussian_P(low) + mass * gsl_cdf_ugaussian_P(u));
  return fmin(fmax(d->mean + d->std * z, d->low), d->high);
}

/* Its slope: the density of u over that of the value. */
static double slope_from_normal(const Distribution *d, double u, double value)
{
  if (d->kind == FIXED) return 0;
  if (d->kind == NORMAL) return d->std;
  if (d->kind == UNIFORM) return (d->high - d->low) * gsl_ran_ugaussian_pdf(u);
  const double z = (value - d->mean) / d->std;
  return d->std * mass_within(d) * exp((z - u) * (z + u) / 2);
}

void prior_from_normal(const Prior *prior, const double *u, double *theta, double *slope)
{
  for (PetscInt p = 0; p < prior->count; p++) {
    const Distribution *d = &prior->entry[prior->parameter[p]];

    theta[p] = from_normal(d, u[p]);
    if (slope) slope[p] = slope_from_normal(d, u[p], theta[p]);
  }
}

static double to_normal(const Distribution *d, double value)
{
  if (d->kind == FIXED) return 0;
  if (d->kind == NORMAL) return (value - d->mean) / d->std;
  if (d->kind == UNIFORM) return interval_to_normal(d->low, d->high, value);
  const double here = tail(d, value), all = mass_within(d);
  return normal_of_shares(fabs(here - tail(d, d->low)) / all, fabs(tail(d, d->high) - here) / all);
}

PetscErrorCode prior_to_normal(const Prior *prior, const double *theta, double *u)
{
  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < prior->count; p++) {
    const Distribution *d = &prior->entry[prior->parameter[p]];

    PetscCheck(d->kind != FIXED || theta[p] == d->low, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s is %.6g; the prior has it fixed at %.6g", d->name, theta[p], d->low);
    PetscCheck(d->kind == FIXED || (theta[p] > d->low && theta[p] < d->high), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s is %.6g; by the prior it lies between %.6g and %.6g", d->name, theta[p], d->low, d->high);
    u[p] = to_normal(d, theta[p]);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode prior_cosmology(const Prior *prior, const double *theta, Cosmology *cosmology, Systematics *systematics)
{
  double value[PRIOR_ENTRIES];

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < PRIOR_ENTRIES; i++) value[i] = prior->entry[i].kind == FIXED ? prior->entry[i].low : 0;
  for (PetscInt p = 0; p < prior->count; p++) value[prior->parameter[p]] = theta[p];
  *cosmology = (Cosmology){value[0], value[1], value[2], value[3], value[4], value[5], value[6]};
  *systematics = (Systematics){.A_IA = value[7], .eta_IA = value[8]};
  for (PetscInt bin = 0; bin < NEPHRITE_MAX_BINS; bin++) {
    systematics->delta_z[bin] = value[NEPHRITE_WCDM_PARAMETERS + 3 + bin];
    systematics->m[bin] = value[NEPHRITE_WCDM_PARAMETERS + 3 + NEPHRITE_MAX_BINS + bin];
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

enum { MOST_ATTEMPTS = 10000 };

PetscErrorCode prior_draw(const Prior *prior, uint64_t seed, uint64_t index, PetscInt first_attempt, double *theta,
                          PetscInt *attempts)
{
  const RandomKey key = {seed, STREAM_PARAMETERS, index};
  Cosmology cosmology;
  Systematics systematics;

  PetscFunctionBeginUser;
  for (PetscInt attempt = first_attempt; attempt < MOST_ATTEMPTS; attempt++) {
    double u[NEPHRITE_MAX_PARAMETERS];

    random_uniform(key, (uint64_t)attempt * NEPHRITE_MAX_PARAMETERS, (size_t)prior->count, u);
    for (PetscInt p = 0; p < prior->count; p++) theta[p] = quantile(&prior->entry[prior->parameter[p]], u[p]);
    PetscCall(prior_cosmology(prior, theta, &cosmology, &systematics));
    if (attempts) *attempts = attempt + 1;
    if (cosmology_is_physical(&cosmology)) PetscFunctionReturn(PETSC_SUCCESS);
  }
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
          "%d draws from the prior for realisation %llu gave no usable universe; the prior section is far from one",
          MOST_ATTEMPTS, (unsigned long long)index);
}

static double log_density(const Distribution *d, double x)
{
  if (d->kind == FIXED) return x == d->low ? 0 : -INFINITY;
  if (x < d->low || x > d->high) return -INFINITY;
  if (d->kind == UNIFORM) return -log(d->high - d->low);
  const double z = (x - d->mean) / d->std;
  return -0.5 * z * z - log(d->std * sqrt(2 * M_PI)) - log(mass_within(d));
}

PetscErrorCode prior_log_density(const Prior *prior, const double *theta, double *density)
{
  Cosmology cosmology;
  Systematics systematics;

  PetscFunctionBeginUser;
  PetscCall(prior_cosmology(prior, theta, &cosmology, &systematics));
  *density = cosmology_is_physical(&cosmology) ? 0 : -INFINITY;
  for (PetscInt p = 0; p < prior->count; p++) *density += log_density(&prior->entry[prior->parameter[p]], theta[p]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* x phi(x), 0 at the infinities. */
static double edge(double x)
{
  return isfinite(x) ? x * gsl_ran_ugaussian_pdf(x) : 0;
}

PetscErrorCode prior_moments(const Prior *prior, double *mean, double *std)
{
  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < prior->count; p++) {
    const Distribution *d = &prior->entry[prior->parameter[p]];

    mean[p] = d->kind == FIXED ? d->low : (d->low + d->high) / 2;
    std[p] = d->kind == FIXED ? 0 : (d->high - d->low) / sqrt(12);
    if (d->kind == NORMAL || d->kind == TRUNCATED_NORMAL) {
      const double a = (d->low - d->mean) / d->std, b = (d->high - d->mean) / d->std;
      const double mass = mass_within(d);
      const double shift = (gsl_ran_ugaussian_pdf(a) - gsl_ran_ugaussian_pdf(b)) / mass;

      mean[p] = d->mean + d->std * shift;
      std[p] = d->std * sqrt(1 + (edge(a) - edge(b)) / mass - shift * shift);
    }
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
