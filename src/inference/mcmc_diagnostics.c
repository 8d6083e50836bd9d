/** \file mcmc_diagnostics.c  Have chains converged, and what are their draws worth?  \ingroup inference
 *
 * Rank-normalised split R-hat, bulk and tail effective sample size: Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021
 * (1903.08008), equations by their numbers there.
 */
#include "nephrite/inference.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <math.h>

/* The halves of all chains, each a chain of its own, and work space. */
typedef struct {
  PetscInt chains, draws;
  double *value; /* [chains][draws] */
  double *work; /* the same */
  size_t *order; /* [chains draws] */
} Halves;

/* Mean over the chains of their autocovariances at a lag, each divided by the number of draws.  \param mean [chains] */
static double autocovariance(const Halves *h, const double *value, const double *mean, PetscInt lag)
{
  double sum = 0;

  for (PetscInt c = 0; c < h->chains; c++) {
    const double *const x = value + c * h->draws;

    for (PetscInt i = 0; i + lag < h->draws; i++) sum += (x[i] - mean[c]) * (x[i + lag] - mean[c]);
  }
  return sum / ((double)h->draws * (double)h->chains);
}

/* Variances within chains, and of all draws as estimated from those within and between (eqs 2 and 3). */
typedef struct {
  double within, all;
} Variances;

static Variances variances(const Halves *h, const double *value, double *mean)
{
  const double n = (double)h->draws;

  for (PetscInt c = 0; c < h->chains; c++) mean[c] = gsl_stats_mean(value + c * h->draws, 1, (size_t)h->draws);
  const double within = autocovariance(h, value, mean, 0) * n / (n - 1);
  return (Variances){within, within * (n - 1) / n + gsl_stats_variance(mean, 1, (size_t)h->chains)};
}

/* Replace values by normal quantiles of their ranks among all draws, equal values sharing their mean rank (eq. 14). */
static void normalise_ranks(const Halves *h, double *value)
{
  const size_t count = (size_t)h->chains * (size_t)h->draws;

  gsl_sort_index(h->order, value, 1, count);
  for (size_t first = 0; first < count;) {
    size_t end = first + 1;

    while (end < count && value[h->order[end]] == value[h->order[first]]) end++;
    const double rank = (double)(first + end + 1) / 2; /* from 1 on */
    for (size_t i = first; i < end; i++)
      h->work[h->order[i]] = gsl_cdf_ugaussian_Pinv((rank - 0.375) / ((double)count + 0.25));
    first = end;
  }
  for (size_t i = 0; i < count; i++) value[i] = h->work[i];
}

/* Eq. 4 */
static double r_hat(const Halves *h, const double *value, double *mean)
{
  const Variances v = variances(h, value, mean);

  return sqrt(v.all / v.within);
}

/* What correlated draws are worth (eqs 10-13), the sum of correlations cut by Geyer's (1992) initial monotone sequence:
 * sums over pairs of lags, as long as they are positive, none larger than the one before.  Of the last pair only the
 * even lag counts, which is better for antithetic chains. */
static double effective_size(const Halves *h, const double *value, double *mean)
{
  const Variances v = variances(h, value, mean);
  const double count = (double)h->chains * (double)h->draws;
  double time = -1, before = INFINITY; /* autocorrelation time; the pair before */

  if (!(v.all > 0)) return count; /* all draws are the same */
  for (PetscInt lag = 0;; lag += 2) {
    const double even = lag ? 1 - (v.within - autocovariance(h, value, mean, lag)) / v.all : 1;
    const double odd = 1 - (v.within - autocovariance(h, value, mean, lag + 1)) / v.all;
    const double pair = even + odd;

    if (!(pair > 0) || lag + 4 >= h->draws) {
      if (even > 0 || pair >= 0) time += even;
      break;
    }
    before = fmin(before, pair);
    time += 2 * before;
  }
  return count / fmax(time, 1 / log10(count)); /* no more than antithetic chains can plausibly give */
}

static int is_constant_or_worse(const Halves *h)
{
  const size_t count = (size_t)h->chains * (size_t)h->draws;
  int constant = 1;

  for (size_t i = 0; i < count; i++) {
    if (!isfinite(h->value[i])) return 1;
    constant &= h->value[i] == h->value[0];
  }
  return constant;
}

/* Whether draws lie below a quantile of all: what that share is worth.  \param sorted [count] all draws */
static double effective_size_of_quantile(const Halves *h, size_t count, const double *sorted, double share,
                                         double *mean)
{
  const double quantile = gsl_stats_quantile_from_sorted_data(sorted, 1, count, share);

  for (PetscInt i = 0; i < h->chains * h->draws; i++) h->work[i] = h->value[i] <= quantile ? 1 : 0;
  return effective_size(h, h->work, mean);
}

/* \param value  all draws; sorted on return */
static void diagnose(Halves *h, size_t count, double *value, double *folded, McmcDiagnostics *d)
{
  double *const mean = folded + (size_t)h->chains * (size_t)h->draws; /* [chains] */
  const size_t halves = (size_t)h->chains * (size_t)h->draws;

  d->mean = gsl_stats_mean(value, 1, count);
  d->std = gsl_stats_sd(value, 1, count);
  d->r_hat = d->ess_bulk = d->ess_tail = NAN;
  if (is_constant_or_worse(h)) return;
  gsl_sort(value, 1, count);
  d->ess_tail = fmin(effective_size_of_quantile(h, count, value, 0.05, mean),
                     effective_size_of_quantile(h, count, value, 0.95, mean));
  for (size_t i = 0; i < halves; i++) folded[i] = h->value[i];
  gsl_sort(folded, 1, halves);
  const double median = gsl_stats_median_from_sorted_data(folded, 1, halves);
  for (size_t i = 0; i < halves; i++) folded[i] = fabs(h->value[i] - median); /* for chains that differ in width */
  normalise_ranks(h, folded);
  normalise_ranks(h, h->value);
  d->r_hat = fmax(r_hat(h, h->value, mean), r_hat(h, folded, mean));
  d->ess_bulk = effective_size(h, h->value, mean);
}

PetscErrorCode mcmc_diagnose(PetscInt chains, PetscInt draws, const double *value, McmcDiagnostics *diagnostics)
{
  Halves h = {.chains = 2 * chains, .draws = draws / 2};
  const size_t count = (size_t)chains * (size_t)draws, halves = (size_t)h.chains * (size_t)h.draws;
  double *all, *folded;

  PetscFunctionBeginUser;
  PetscCheck(chains >= 1 && draws >= 8, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%" PetscInt_FMT " chains of %" PetscInt_FMT " draws tell nothing; there must be one, of eight", chains,
             draws);
  PetscCall(PetscMalloc5(halves, &h.value, halves, &h.work, halves, &h.order, count, &all, halves + (size_t)h.chains,
                         &folded));
  PetscCall(PetscArraycpy(all, value, count));
  for (PetscInt c = 0; c < chains; c++) { /* of an odd number the one in the middle is left out */
    PetscCall(PetscArraycpy(h.value + 2 * c * h.draws, value + c * draws, h.draws));
    PetscCall(PetscArraycpy(h.value + (2 * c + 1) * h.draws, value + (c + 1) * draws - h.draws, h.draws));
  }
  diagnose(&h, count, all, folded, diagnostics);
  PetscCall(PetscFree5(h.value, h.work, h.order, all, folded));
  PetscFunctionReturn(PETSC_SUCCESS);
}

double mcmc_e_bfmi(PetscInt draws, const double *energy)
{
  double mean = 0, steps = 0, spread = 0;

  for (PetscInt i = 0; i < draws; i++) mean += energy[i] / (double)draws;
  for (PetscInt i = 0; i < draws; i++) {
    const double step = i ? energy[i] - energy[i - 1] : 0;

    steps += step * step;
    spread += (energy[i] - mean) * (energy[i] - mean);
  }
  return steps / spread;
}
