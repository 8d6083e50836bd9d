#include "dense_gaussian.h"

static const RandomKey KEY = {4, STREAM_POSTERIOR, 9};

/* An observation of the whole map with noise alike everywhere, or of parts of it. */
typedef struct {
  Observation observation;
  double noise_std[DENSE_MAX_FIELD];
  float mask[DENSE_MAX_PIXELS];
} Seen;

static void see_all(Dense *d, Seen *seen)
{
  *seen = (Seen){.noise_std = {d->noise_std[0], d->noise_std[d->data / 2]}};
  seen->observation = (Observation){.raw = d->raw, .noise_std = seen->noise_std};
}

/* Every fifth pixel is masked, and holds what must not be looked at. */
static void see_through_a_mask(Dense *d, Seen *seen)
{
  see_all(d, seen);
  seen->observation.mask = seen->mask;
  for (int i = 0; i < d->pixels; i++) seen->mask[i] = i % 5 != 3;
  for (int i = 0; i < d->data; i++)
    if (i % d->pixels % 5 == 3) {
      d->noise_std[i] = INFINITY;
      d->raw[i] = NAN;
    }
}

/* The noise of a bin varies by 8, and a pixel has no galaxies. */
static void see_by_counts(Dense *d, Seen *seen)
{
  see_all(d, seen);
  strcpy(d->survey.counts, "counts.h5");
  for (int i = 0; i < d->data; i++) {
    const int bin = i / (d->planes * d->pixels), pixel = i % d->pixels;

    d->noise_std[i] = pixel == 5 && bin == 1 ? INFINITY : d->noise_std[i] * (1 + (3 * pixel + bin) % 8) / 4;
    seen->noise_std[bin * d->pixels + pixel] = d->noise_std[i];
  }
}

static ConstrainedField *make_field(const Dense *d, const Seen *seen, const ConstraintSolver *solver)
{
  ConstrainedField *field = NULL;

  assert_ok(constrained_field_create(&d->survey, &seen->observation, solver, &field));
  assert_ok(constrained_field_set_spectra(field, d->spectra, NULL));
  return field;
}

/* The largest difference between the mean and that of the dense posterior, over the largest value. */
static double mean_error(const Dense *d, const Seen *seen, const ConstraintSolver *solver)
{
  ConstrainedField *field = make_field(d, seen, solver);
  double mean[DENSE_MAX_FIELD], kappa[DENSE_MAX_FIELD], difference = 0, largest = 0;
  double *const covariance = calloc((size_t)(d->field * d->field), sizeof *covariance);

  assert_non_null(covariance);
  dense_posterior(d, mean, covariance);
  assert_ok(constrained_field_mean(field, kappa));
  for (int i = 0; i < d->field; i++) {
    difference = fmax(difference, fabs(kappa[i] - mean[i]));
    largest = fmax(largest, fabs(mean[i]));
  }
  assert_ok(constrained_field_destroy(&field));
  free(covariance);
  return difference / largest;
}

static const ConstraintSolver exactly = {CONSTRAINT_BY_ITERATION, 1e-13, 1000};
static const ConstraintSolver to_tolerance = {CONSTRAINT_BY_ITERATION, 1e-9, 1000};

static void mode_by_mode_the_mean_is_that_of_the_dense_posterior(void **state)
{
  static const int sizes[][2] = {{4, 4}, {4, 6}, {6, 4}, {5, 4}, {3, 5}};

  (void)state;
  for (int kind = OBSERVATION_SHEAR; kind <= OBSERVATION_CONVERGENCE; kind++)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      Dense *d = dense_make(sizes[i][0], sizes[i][1], (ObservationKind)kind);
      Seen seen;

      see_all(d, &seen);
      assert_within(mean_error(d, &seen, NULL), 0, 1e-12);
      dense_free(d);
    }
}

static void through_a_mask_the_mean_is_that_of_the_dense_posterior(void **state)
{
  (void)state;
  for (int kind = OBSERVATION_SHEAR; kind <= OBSERVATION_CONVERGENCE; kind++)
    for (int odd = 0; odd < 2; odd++) {
      Dense *d = dense_make(4, odd ? 5 : 6, (ObservationKind)kind);
      Seen seen;

      see_through_a_mask(d, &seen);
      assert_within(mean_error(d, &seen, &exactly), 0, 1e-10);
      assert_within(mean_error(d, &seen, NULL), 0, 1e-8);
      dense_free(d);
    }
}

static void with_noise_that_varies_the_mean_is_that_of_the_dense_posterior(void **state)
{
  (void)state;
  for (int kind = OBSERVATION_SHEAR; kind <= OBSERVATION_CONVERGENCE; kind++) {
    Dense *d = dense_make(4, 6, (ObservationKind)kind);
    Seen seen;

    see_by_counts(d, &seen);
    assert_within(mean_error(d, &seen, &exactly), 0, 1e-10);
    assert_within(mean_error(d, &seen, NULL), 0, 1e-8);
    dense_free(d);
  }
}

/* Mean and covariance of draws are those of the dense posterior: no element further off than 6 standard errors, of
 * which among 1,000 there is none by chance. */
static void check_moments(Dense *d, const Seen *seen, uint64_t draws)
{
  ConstrainedField *field = make_field(d, seen, NULL);
  const int n = d->field;
  double mean[DENSE_MAX_FIELD], *const covariance = calloc((size_t)(n * n), sizeof *covariance);
  double sum[DENSE_MAX_FIELD] = {0}, *const product = calloc((size_t)(n * n), sizeof *product);
  float kappa[DENSE_MAX_FIELD];

  assert_non_null(covariance);
  assert_non_null(product);
  dense_posterior(d, mean, covariance);
  for (uint64_t draw = 0; draw < draws; draw++) {
    assert_ok(constrained_field_draw(field, KEY, draw * constrained_field_normals(field), kappa));
    for (int i = 0; i < n; i++) {
      sum[i] += kappa[i] - mean[i];
      for (int j = 0; j <= i; j++) product[i * n + j] += (kappa[i] - mean[i]) * (kappa[j] - mean[j]);
    }
  }
  for (int i = 0; i < n; i++) {
    const double *const row = covariance + i * n;

    assert_within(sum[i] / (double)draws, 0, 6 * sqrt(row[i] / (double)draws));
    for (int j = 0; j <= i; j++) {
      const double error = sqrt((row[i] * covariance[j * n + j] + row[j] * row[j]) / (double)draws);

      assert_within(product[i * n + j] / (double)draws, row[j], 6 * error);
    }
  }
  assert_ok(constrained_field_destroy(&field));
  free(covariance);
  free(product);
}

static void mode_by_mode_draws_have_the_moments_of_the_dense_posterior(void **state)
{
  (void)state;
  for (int kind = OBSERVATION_SHEAR; kind <= OBSERVATION_CONVERGENCE; kind++) {
    Dense *d = dense_make(4, 4, (ObservationKind)kind);
    Seen seen;

    see_all(d, &seen);
    check_moments(d, &seen, 20000);
    dense_free(d);
  }
}

static void draws_through_a_mask_have_the_moments_of_the_dense_posterior(void **state)
{
  (void)state;
  for (int kind = OBSERVATION_SHEAR; kind <= OBSERVATION_CONVERGENCE; kind++) {
    Dense *d = dense_make(4, 4, (ObservationKind)kind);
    Seen seen;

    see_through_a_mask(d, &seen);
    check_moments(d, &seen, 10000);
    dense_free(d);
  }
}

static void draws_with_noise_that_varies_have_the_moments_of_the_dense_posterior(void **state)
{
  Dense *d = dense_make(4, 4, OBSERVATION_SHEAR);
  Seen seen;

  (void)state;
  see_by_counts(d, &seen);
  check_moments(d, &seen, 10000);
  dense_free(d);
}

/* ---- larger maps ---- */

typedef struct {
  SurveyConfig survey;
  LensingSpectra *spectra;
  size_t size, pixels; /* of a map of all bins, of one */
  float *raw, *mask; /* raw: a white map 1.5 times the noise; */
  double noise_std[DENSE_BINS];
} Sky;

/* The sky that an LSST-like survey sees: power and noise per area are those of its last bins, whatever the pixels. */
static Sky make_sky(PetscInt ny, PetscInt nx, double field_of_view_deg, ObservationKind kind)
{
  Sky sky = {.survey = {.map_size = {nx, ny},
                        .field_of_view_deg = field_of_view_deg,
                        .bins = DENSE_BINS,
                        .field = FIELD_GAUSSIAN,
                        .observation = (int)kind,
                        .galaxies_per_arcmin2 = 11, /* 5.4 in each bin */
                        .sigma_e = 0.26,
                        .mask = "none"},
             .spectra = dense_spectra(&(DenseSpectrum){4e-9, -1.3}),
             .pixels = (size_t)(ny * nx)};
  const size_t values = 2 * DENSE_BINS * sky.pixels;

  sky.size = DENSE_BINS * sky.pixels;
  sky.raw = malloc(values * sizeof *sky.raw);
  sky.mask = malloc(sky.pixels * sizeof *sky.mask);
  assert_true(sky.raw && sky.mask);
  sky.noise_std[0] = sky.noise_std[1] = survey_noise_std(&sky.survey);
  random_normal_float((RandomKey){2, STREAM_NOISE, 5}, 0, values, sky.raw);
  for (size_t i = 0; i < values; i++) sky.raw[i] *= (float)(1.5 * sky.noise_std[0]);
  for (size_t i = 0; i < sky.pixels; i++) sky.mask[i] = 1;
  return sky;
}

/* A fifth of the sky is in one hole. */
static void mask_a_disc(Sky *sky)
{
  const int nx = (int)survey_nx(&sky->survey), ny = (int)survey_ny(&sky->survey);

  for (int i = 0; i < nx * ny; i++) {
    const double y = (double)(i / nx) / ny - 0.4, x = (double)(i % nx) / nx - 0.6;

    sky->mask[i] = M_PI * (x * x + y * y) > 0.2;
  }
}

/* A fifth of the sky is in holes of 4 x 4 pixels. */
static void mask_holes(Sky *sky)
{
  const int nx = (int)survey_nx(&sky->survey), ny = (int)survey_ny(&sky->survey);

  for (int i = 0; i < nx * ny; i++) sky->mask[i] = (i / nx) % 9 > 3 || (i % nx) % 9 > 3;
}

static void free_sky(Sky *sky)
{
  assert_ok(lensing_spectra_destroy(&sky->spectra));
  free(sky->raw);
  free(sky->mask);
}

static ConstrainedField *constrain(Sky *sky, float *mask, const ConstraintSolver *solver)
{
  ConstrainedField *field = NULL;
  const Observation observation = {.raw = sky->raw, .noise_std = sky->noise_std, .mask = mask};

  assert_ok(constrained_field_create(&sky->survey, &observation, solver, &field));
  assert_ok(constrained_field_set_spectra(field, sky->spectra, "Omega_c 0.27"));
  return field;
}

/* Without a mask both methods make the same map of the same random numbers. */
static void iteration_draws_the_map_that_is_drawn_mode_by_mode(void **state)
{
  static const int sizes[][2] = {{24, 32}, {15, 20}};

  (void)state;
  for (int kind = OBSERVATION_SHEAR; kind <= OBSERVATION_CONVERGENCE; kind++)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      Sky sky = make_sky(sizes[i][0], sizes[i][1], 2, (ObservationKind)kind);
      ConstrainedField *by_mode = constrain(&sky, NULL, NULL), *iterated = constrain(&sky, NULL, &to_tolerance);
      float *const a = malloc(sky.size * sizeof *a), *const b = malloc(sky.size * sizeof *b);
      double rms = 0;

      assert_true(a && b);
      assert_ok(constrained_field_draw(by_mode, KEY, 17, a));
      assert_ok(constrained_field_draw(iterated, KEY, 17, b));
      assert_int_equal(constrained_field_iterations(by_mode), 0);
      assert_true(constrained_field_iterations(iterated) > 0);
      for (size_t p = 0; p < sky.size; p++) rms += (double)a[p] * a[p] / (double)sky.size;
      for (size_t p = 0; p < sky.size; p++) assert_within(a[p], b[p], 1e-6 * sqrt(rms));
      free(a);
      free(b);
      assert_ok(constrained_field_destroy(&by_mode));
      assert_ok(constrained_field_destroy(&iterated));
      free_sky(&sky);
    }
}

static PetscInt count_iterations(PetscInt side, double field_of_view_deg, void (*mask)(Sky *))
{
  Sky sky = make_sky(side, side, field_of_view_deg, OBSERVATION_SHEAR);

  mask(&sky);
  ConstrainedField *field = constrain(&sky, sky.mask, NULL);
  float *const kappa = malloc(sky.size * sizeof *kappa);

  assert_non_null(kappa);
  assert_ok(constrained_field_draw(field, KEY, 0, kappa));
  const PetscInt iterations = constrained_field_iterations(field);
  free(kappa);
  assert_ok(constrained_field_destroy(&field));
  free_sky(&sky);
  return iterations;
}

static void finer_pixels_take_hardly_more_iterations(void **state)
{
  const PetscInt coarse = count_iterations(32, 5, mask_a_disc), fine = count_iterations(128, 5, mask_a_disc);

  (void)state;
  assert_true(fine <= coarse + coarse / 4);
  assert_true(fine < 60);
}

static void a_wider_sky_takes_hardly_more_iterations(void **state)
{
  const PetscInt narrow = count_iterations(32, 2.5, mask_holes), wide = count_iterations(128, 10, mask_holes);

  (void)state;
  assert_true(wide <= narrow + narrow / 4);
}

static void a_draw_does_not_depend_on_what_was_drawn_before(void **state)
{
  Sky sky = make_sky(16, 16, 2, OBSERVATION_SHEAR);
  float first[DENSE_BINS * 256], again[DENSE_BINS * 256], other[DENSE_BINS * 256];

  (void)state;
  mask_holes(&sky);
  ConstrainedField *field = constrain(&sky, sky.mask, NULL);
  assert_ok(constrained_field_draw(field, KEY, 5, first));
  assert_ok(constrained_field_draw(field, KEY, 6, other));
  assert_ok(constrained_field_draw(field, KEY, 5, again));
  assert_memory_equal(first, again, sizeof first);
  assert_memory_not_equal(first, other, sizeof first);
  assert_ok(constrained_field_destroy(&field));
  free_sky(&sky);
}

static void an_iteration_that_does_not_converge_is_told_with_its_cosmology_and_residual(void **state)
{
  Sky sky = make_sky(16, 16, 2, OBSERVATION_SHEAR);
  float kappa[DENSE_BINS * 256];

  (void)state;
  mask_holes(&sky);
  ConstrainedField *field = constrain(&sky, sky.mask, &(ConstraintSolver){CONSTRAINT_BY_ITERATION, 1e-9, 3});
  assert_fails(constrained_field_draw(field, KEY, 0, kappa), NEPHRITE_ERR_INTERNAL,
               "did not converge in 3 iterations, to a residual of ");
  assert_non_null(strstr(error_message(), ", at Omega_c 0.27"));
  assert_ok(constrained_field_destroy(&field));
  free_sky(&sky);
}

static void what_suits_an_observation_is_known(void **state)
{
  Dense *d = dense_make(4, 4, OBSERVATION_SHEAR);
  Seen seen;

  (void)state;
  see_all(d, &seen);
  assert_int_equal(constraint_solver_for(&d->survey, &seen.observation).method, CONSTRAINT_BY_MODE);
  seen.observation.mask = seen.mask;
  for (int i = 0; i < d->pixels; i++) seen.mask[i] = 1;
  assert_int_equal(constraint_solver_for(&d->survey, &seen.observation).method, CONSTRAINT_BY_MODE);
  seen.mask[3] = 0;
  assert_int_equal(constraint_solver_for(&d->survey, &seen.observation).method, CONSTRAINT_BY_ITERATION);
  see_by_counts(d, &seen);
  assert_int_equal(constraint_solver_for(&d->survey, &seen.observation).method, CONSTRAINT_BY_ITERATION);
  dense_free(d);
}

static void modes_that_depend_on_each_other_are_not_solved_for_one_by_one(void **state)
{
  Dense *d = dense_make(4, 4, OBSERVATION_SHEAR);
  ConstrainedField *field = NULL;
  Seen seen;

  (void)state;
  see_through_a_mask(d, &seen);
  assert_fails(constrained_field_create(&d->survey, &seen.observation,
                                        &(ConstraintSolver){CONSTRAINT_BY_MODE, 1e-9, 100}, &field),
               NEPHRITE_ERR_INPUT, "masked or differ in noise");
  assert_ok(constrained_field_destroy(&field));
  dense_free(d);
}

static void a_field_without_spectra_is_refused(void **state)
{
  Dense *d = dense_make(4, 4, OBSERVATION_SHEAR);
  ConstrainedField *field = NULL;
  double kappa[DENSE_MAX_FIELD];
  Seen seen;

  (void)state;
  see_all(d, &seen);
  assert_ok(constrained_field_create(&d->survey, &seen.observation, NULL, &field));
  assert_fails(constrained_field_mean(field, kappa), NEPHRITE_ERR_INTERNAL, "before its spectra are set");
  assert_ok(constrained_field_destroy(&field));
  dense_free(d);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(mode_by_mode_the_mean_is_that_of_the_dense_posterior),
                   cmocka_unit_test(through_a_mask_the_mean_is_that_of_the_dense_posterior),
                   cmocka_unit_test(with_noise_that_varies_the_mean_is_that_of_the_dense_posterior),
                   cmocka_unit_test(mode_by_mode_draws_have_the_moments_of_the_dense_posterior),
                   cmocka_unit_test(draws_through_a_mask_have_the_moments_of_the_dense_posterior),
                   cmocka_unit_test(draws_with_noise_that_varies_have_the_moments_of_the_dense_posterior),
                   cmocka_unit_test(iteration_draws_the_map_that_is_drawn_mode_by_mode),
                   cmocka_unit_test(finer_pixels_take_hardly_more_iterations),
                   cmocka_unit_test(a_wider_sky_takes_hardly_more_iterations),
                   cmocka_unit_test(a_draw_does_not_depend_on_what_was_drawn_before),
                   cmocka_unit_test(an_iteration_that_does_not_converge_is_told_with_its_cosmology_and_residual),
                   cmocka_unit_test(what_suits_an_observation_is_known),
                   cmocka_unit_test(modes_that_depend_on_each_other_are_not_solved_for_one_by_one),
                   cmocka_unit_test(a_field_without_spectra_is_refused))
