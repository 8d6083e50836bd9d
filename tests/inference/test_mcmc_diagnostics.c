#include "nephrite/inference.h"
#include "nephrite_test.h"

#include <stdlib.h>

enum { MOST = 4 * 4000 };

/* Series that can be made anew in any language: sums of twelve numbers of a linear congruential generator (x ->
 * 1103515245 x + 12345 mod 2^31, begun at 17 + chain, over 2^31) less 6 drive y -> r y + e; chain c is moved by c
 * offset. */
typedef struct {
  PetscInt chains, draws;
  double correlation, offset;
  double (*transform)(double);
} Series;

static double itself(double x)
{
  return x;
}

static double cube(double x)
{
  return x * x * x;
}

static void make_series(const Series *s, double *value)
{
  for (PetscInt c = 0; c < s->chains; c++) {
    uint64_t x = 17 + (uint64_t)c;
    double y = 0;

    for (PetscInt d = 0; d < s->draws; d++) {
      double sum = -6;

      for (int i = 0; i < 12; i++) {
        x = (1103515245 * x + 12345) % 2147483648;
        sum += (double)x / 2147483648.;
      }
      y = s->correlation * y + sum;
      value[c * s->draws + d] = s->transform(y + s->offset * (double)c);
    }
  }
}

/* From these series with ArviZ 0.23.4: rhat(method="rank"), ess(method="bulk"), ess(method="tail"), bfmi of chain 0. */
static void diagnostics_are_arvizs(void **state)
{
  const struct {
    Series series;
    double r_hat, bulk, tail, e_bfmi;
  } cases[] = {
      {{4, 100, 0, 0, itself}, 1.00118651249, 346.295826143, 409.772979493, 1.80874325264},
      {{4, 250, 0.9, 0, itself}, 1.1043979997, 36.2713899732, 193.006868333, 0.187605162458},
      {{3, 101, 0.5, 0, itself}, 1.01363463493, 102.154617841, 124.274420332, 0.840214799163},
      {{4, 100, 0.3, 0.7, itself}, 1.36075456552, 10.3768205264, 138.397549415, 1.20668750891},
      {{2, 200, 0.6, 0, cube}, 1.0719413049, 93.6254512543, 144.038780195, 0.940822890403},
      {{4, 200, -0.6, 0, itself}, 1.00010252355, 2322.47198959, 834.787286947, 3.18489767756},
      {{1, 300, 0.4, 0, itself}, NAN, 113.564233724, 178.287087346, 1.14814068726}, /* ArviZ wants two chains */
      {{2, 150, 0.4, 0, floor}, 1.00771143709, 133.122310936, 168.266546221, 1.20380519887},
  };
  double *value = malloc(MOST * sizeof *value);

  (void)state;
  assert_non_null(value);
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    const Series *const s = &cases[c].series;
    McmcDiagnostics d;

    make_series(s, value);
    assert_ok(mcmc_diagnose(s->chains, s->draws, value, &d));
    if (s->chains > 1) assert_close(d.r_hat, cases[c].r_hat, 1e-11); /* the digits that are written above */
    assert_close(d.ess_bulk, cases[c].bulk, 1e-11);
    assert_close(d.ess_tail, cases[c].tail, 1e-11);
    assert_close(mcmc_e_bfmi(s->draws, value), cases[c].e_bfmi, 1e-11);
  }
  free(value);
}

/* With correlation r from draw to draw, n draws are worth n (1 - r)/(1 + r) for their mean. */
static void draws_of_a_markov_process_are_worth_what_theory_says(void **state)
{
  const double correlations[] = {0, 0.5, 0.9};
  double *value = malloc(MOST * sizeof *value);

  (void)state;
  assert_non_null(value);
  for (int c = 0; c < 3; c++) {
    const double r = correlations[c];
    McmcDiagnostics d;

    for (PetscInt chain = 0; chain < 4; chain++) {
      double *const x = value + chain * (MOST / 4);

      random_normal((RandomKey){1, STREAM_CHAIN, (uint64_t)chain}, 0, MOST / 4, x);
      for (int i = 0; i < MOST / 4; i++) x[i] = i ? r * x[i - 1] + sqrt(1 - r * r) * x[i] : x[i];
    }
    assert_ok(mcmc_diagnose(4, MOST / 4, value, &d));
    assert_within(d.r_hat, 1, 0.01);
    assert_close(d.ess_bulk, MOST * (1 - r) / (1 + r), 0.12); /* scatter of an estimated autocorrelation time */
    assert_within(d.mean, 0, 5 / sqrt(d.ess_bulk));
    assert_close(d.std, 1, 5 / sqrt(d.ess_bulk));
  }
  free(value);
}

static void chains_of_other_widths_are_told_apart(void **state)
{
  double value[4 * 500];
  McmcDiagnostics d;

  (void)state;
  random_normal((RandomKey){1, STREAM_CHAIN, 0}, 0, 2000, value);
  for (int i = 0; i < 500; i++) value[i] *= 3;
  assert_ok(mcmc_diagnose(4, 500, value, &d));
  assert_true(d.r_hat > 1.05);
}

static void draws_that_are_all_the_same_say_nothing(void **state)
{
  double value[20] = {0};
  McmcDiagnostics d;

  (void)state;
  assert_ok(mcmc_diagnose(2, 10, value, &d));
  assert_true(isnan(d.r_hat) && isnan(d.ess_bulk) && isnan(d.ess_tail) && d.mean == 0);
  value[3] = NAN;
  assert_ok(mcmc_diagnose(2, 10, value, &d));
  assert_true(isnan(d.r_hat) && isnan(d.ess_bulk) && isnan(d.ess_tail));
}

static void too_few_draws_are_refused(void **state)
{
  double value[7] = {0};
  McmcDiagnostics d;

  (void)state;
  assert_fails(mcmc_diagnose(1, 7, value, &d), NEPHRITE_ERR_CONFIG, "1 chains of 7 draws");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(diagnostics_are_arvizs),
                   cmocka_unit_test(draws_of_a_markov_process_are_worth_what_theory_says),
                   cmocka_unit_test(chains_of_other_widths_are_told_apart),
                   cmocka_unit_test(draws_that_are_all_the_same_say_nothing),
                   cmocka_unit_test(too_few_draws_are_refused))
