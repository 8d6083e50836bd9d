#include "fixtures.h"

/* Derivatives are held to differences of fourth order, (8 (F(h) - F(-h)) - F(2h) + F(-2h))/(12 h). */

enum { MAX_PIXELS = 96, MAX_BINS = 3 };

typedef struct {
  FieldShape shape;
  Field *field;
  LensingSpectra *spectra, *spectra_bar;
  size_t values; /* of a map, all bins */
  double white[MAX_BINS * MAX_PIXELS], white_bar[MAX_BINS * MAX_PIXELS];
  double weight[MAX_BINS * MAX_PIXELS];
} Case;

static Case *make_case(FieldModel model, PetscInt bins, PetscInt ny, PetscInt nx)
{
  Case *c = calloc(1, sizeof *c);

  assert_non_null(c);
  c->shape = (FieldShape){model, bins, ny, nx, 10 * test_pixel};
  c->values = (size_t)(bins * ny * nx);
  c->spectra = power_law_spectra(bins, 0.8);
  for (int n = 0; n < ELL_COUNT; n++) c->spectra->power[n] *= 1 + 0.2 * sin(n); /* no power law: curvatures matter */
  assert_ok(lensing_spectra_create(bins, ELL_COUNT, &c->spectra_bar));
  random_normal((RandomKey){1, STREAM_FIELD, 0}, 0, c->values, c->white);
  random_normal((RandomKey){1, STREAM_FIELD, 1}, 0, c->values, c->weight);
  assert_ok(field_create(PETSC_COMM_SELF, &c->shape, &c->field));
  assert_ok(field_record(c->field));
  return c;
}

static void free_case(Case *c)
{
  assert_ok(field_destroy(&c->field));
  assert_ok(lensing_spectra_destroy(&c->spectra));
  assert_ok(lensing_spectra_destroy(&c->spectra_bar));
  free(c);
}

/* F = sum of w kappa + 50 kappa^2. */
static double evaluate(Case *c, double *kappa_bar)
{
  double kappa[MAX_BINS * MAX_PIXELS], sum = 0;

  assert_ok(field_set_spectra(c->field, c->spectra));
  assert_ok(field_realise(c->field, c->white, kappa));
  for (size_t i = 0; i < c->values; i++) {
    sum += kappa[i] * (c->weight[i] + 50 * kappa[i]);
    if (kappa_bar) kappa_bar[i] = c->weight[i] + 100 * kappa[i];
  }
  return sum;
}

static double difference(Case *c, double *x, double h)
{
  const double keep = *x, steps[] = {h, -h, 2 * h, -2 * h};
  double f[4];

  for (int i = 0; i < 4; i++) {
    *x = keep + steps[i];
    f[i] = evaluate(c, NULL);
  }
  *x = keep;
  return (8 * (f[0] - f[1]) - f[2] + f[3]) / (12 * h);
}

static void compare(Case *c, double *x, const double *bar, size_t count, double relative_step)
{
  double norm = 0;

  for (size_t i = 0; i < count; i++) norm += bar[i] * x[i] * bar[i] * x[i];
  norm = sqrt(norm / (double)count);
  for (size_t i = 0; i < count; i++) {
    const double scale = fabs(x[i]), expected = difference(c, x + i, relative_step * scale);

    /* fourth order leaves 1e-10 and rounding 1e-9 of the whole */
    assert_within(bar[i] * scale, expected * scale, 1e-7 * norm + 1e-8 * fabs(expected * scale));
  }
}

static void check_case(FieldModel model, PetscInt bins, PetscInt ny, PetscInt nx)
{
  Case *c = make_case(model, bins, ny, nx);
  double kappa_bar[MAX_BINS * MAX_PIXELS];

  evaluate(c, kappa_bar);
  assert_ok(field_pull_back(c->field, kappa_bar, c->white_bar, c->spectra_bar));
  compare(c, c->white, c->white_bar, c->values, 2e-3);
  compare(c, c->spectra->power, c->spectra_bar->power, (size_t)(bins * (bins + 1) / 2 * ELL_COUNT), 1e-4);
  if (model == FIELD_LOGNORMAL) compare(c, c->spectra->shift, c->spectra_bar->shift, (size_t)bins, 1e-4);
  free_case(c);
}

static void derivatives_of_lognormal_maps_are_those_of_differences(void **state)
{
  (void)state;
  check_case(FIELD_LOGNORMAL, 1, 8, 8);
  check_case(FIELD_LOGNORMAL, 3, 8, 8);
  check_case(FIELD_LOGNORMAL, 2, 6, 10);
  check_case(FIELD_LOGNORMAL, 2, 7, 9);
  check_case(FIELD_LOGNORMAL, 2, 7, 7);
  check_case(FIELD_LOGNORMAL, 3, 5, 8);
}

static void derivatives_of_gaussian_maps_are_those_of_differences(void **state)
{
  (void)state;
  check_case(FIELD_GAUSSIAN, 1, 8, 8);
  check_case(FIELD_GAUSSIAN, 3, 6, 10);
  check_case(FIELD_GAUSSIAN, 2, 7, 9);
}

/* A pair whose C changes sign is interpolated in C, not ln C. */
static void derivatives_by_spectra_that_change_sign_are_those_of_differences(void **state)
{
  Case *c = make_case(FIELD_GAUSSIAN, 2, 6, 6);
  double kappa_bar[MAX_BINS * MAX_PIXELS];

  (void)state;
  for (int l = 0; l < ELL_COUNT; l++) c->spectra->power[ELL_COUNT + l] *= cos(l);
  evaluate(c, kappa_bar);
  assert_ok(field_pull_back(c->field, kappa_bar, c->white_bar, c->spectra_bar));
  compare(c, c->spectra->power, c->spectra_bar->power, 3 * ELL_COUNT, 1e-4);
  free_case(c);
}

/* Bins correlated by more than 1: the matrix of every mode has a negative eigenvalue, whose root is 0 around it too. */
static void derivatives_are_right_where_negative_eigenvalues_are_cut(void **state)
{
  Case *c = make_case(FIELD_GAUSSIAN, 2, 6, 8);
  double kappa_bar[MAX_BINS * MAX_PIXELS];

  (void)state;
  for (int l = 0; l < ELL_COUNT; l++) c->spectra->power[ELL_COUNT + l] *= 1.1 / 0.8;
  evaluate(c, kappa_bar);
  assert_close(field_negative_fraction(c->field), 47. / 96, 1e-12); /* all but that of k = 0 */
  assert_ok(field_pull_back(c->field, kappa_bar, c->white_bar, c->spectra_bar));
  compare(c, c->white, c->white_bar, c->values, 2e-3);
  compare(c, c->spectra->power, c->spectra_bar->power, 3 * ELL_COUNT, 1e-4);
  free_case(c);
}

static void recording_changes_no_map(void **state)
{
  Case *c = make_case(FIELD_LOGNORMAL, 3, 8, 8);
  Field *plain = NULL;
  double recorded[MAX_BINS * MAX_PIXELS], kappa[MAX_BINS * MAX_PIXELS];

  (void)state;
  assert_ok(field_set_spectra(c->field, c->spectra));
  assert_ok(field_realise(c->field, c->white, recorded));
  assert_ok(field_create(PETSC_COMM_SELF, &c->shape, &plain));
  assert_ok(field_set_spectra(plain, c->spectra));
  assert_ok(field_realise(plain, c->white, kappa));
  assert_memory_equal(recorded, kappa, c->values * sizeof *kappa);
  assert_ok(field_destroy(&plain));
  free_case(c);
}

static void a_map_that_was_not_recorded_has_no_derivatives(void **state)
{
  Case *c = make_case(FIELD_LOGNORMAL, 2, 8, 8);
  LensingSpectra *other = NULL;
  double kappa_bar[MAX_BINS * MAX_PIXELS];

  (void)state;
  assert_ok(field_set_spectra(c->field, c->spectra));
  assert_fails(field_pull_back(c->field, c->weight, c->white_bar, c->spectra_bar), NEPHRITE_ERR_INTERNAL,
               "not recorded");
  evaluate(c, kappa_bar);
  assert_ok(lensing_spectra_create(2, ELL_COUNT + 1, &other));
  assert_fails(field_pull_back(c->field, kappa_bar, c->white_bar, other), NEPHRITE_ERR_INTERNAL, "another size");
  assert_ok(field_pull_back(c->field, kappa_bar, c->white_bar, NULL));
  assert_fails(field_pull_back(c->field, kappa_bar, c->white_bar, c->spectra_bar), NEPHRITE_ERR_INTERNAL,
               "a second time");
  assert_ok(lensing_spectra_destroy(&other));
  free_case(c);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(derivatives_of_lognormal_maps_are_those_of_differences),
                   cmocka_unit_test(derivatives_of_gaussian_maps_are_those_of_differences),
                   cmocka_unit_test(derivatives_by_spectra_that_change_sign_are_those_of_differences),
                   cmocka_unit_test(derivatives_are_right_where_negative_eigenvalues_are_cut),
                   cmocka_unit_test(recording_changes_no_map),
                   cmocka_unit_test(a_map_that_was_not_recorded_has_no_derivatives))
