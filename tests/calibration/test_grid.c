#include "calibration/fixtures.h"
#include "calibration/internal.h"

enum { TRUTHS = 400, CENTRES = 2, DRAWS = 10 };

/* Results with truths spread over the prior, of which Omega_c, sigma_8 and h are free. */
typedef struct {
  Results results;
  CalibrateConfig calibrate;
  InferenceSetup setup;
  Prior *prior;
} Fixture;

static void make(Fixture *f, int64_t truths, PetscInt cells)
{
  PriorConfig config;

  memset(f, 0, sizeof *f);
  memset(&config, 0, sizeof config);
  const char *const wcdm[] = {"uniform:0.1,0.5", "fixed:0.05", "uniform:0.6,1",
                              "uniform:0.6,0.8", "fixed:1",    "fixed:-1"};
  for (int i = 0; i < PRIOR_ENTRIES; i++) strcpy(config.distribution[i], i < 6 ? wcdm[i] : "fixed:0");
  assert_ok(prior_create(&config, 1, &f->prior));
  f->calibrate = (CalibrateConfig){.cells = cells, .bootstraps = 20};
  f->setup.prior = f->prior;
  f->results =
      (Results){.setup = &f->setup, .calibrate = &f->calibrate, .truths = truths, .draws = DRAWS, .centres = CENTRES};
  assert_ok(scalars_of(f->prior, &f->results.scalars));
  f->results.truth = calloc((size_t)(truths * f->results.scalars.count), sizeof(double));
  assert_non_null(f->results.truth);
  for (int64_t t = 0; t < truths; t++)
    random_uniform((RandomKey){1, STREAM_PARAMETERS, (uint64_t)t}, 0, (size_t)f->results.scalars.count,
                   f->results.truth + t * f->results.scalars.count);
}

static void clear(Fixture *f)
{
  free(f->results.truth);
  assert_ok(prior_destroy(&f->prior));
}

static void scalars_are_the_free_parameters_and_s8(void **state)
{
  Fixture f;
  const double theta[6] = {0.25, 0.05, 0.8, 0.7, 1, -1};

  (void)state;
  make(&f, 1, 1);
  assert_string_equal(f.results.scalars.names, "Omega_c,sigma_8,h,S8");
  assert_close(scalar_value(&f.results.scalars, 1, theta), 0.8, 1e-15);
  assert_close(scalar_value(&f.results.scalars, 3, theta), 0.8, 1e-15); /* Omega_m = 0.3 */
  assert_string_equal(scalar_name(f.prior, &f.results.scalars, 2), "h");
  clear(&f);
}

static void every_row_and_column_of_cells_has_its_share_of_truths(void **state)
{
  int64_t m[TRUTHS * CENTRES] = {0}, all = 0;
  const CountTable table = {TRUTHS, DRAWS, CENTRES, m};
  PriorGrid grid;
  GridScores scores;
  Fixture f;

  (void)state;
  make(&f, TRUTHS, 4);
  assert_ok(grid_place(&f.results, &grid));
  assert_int_equal(grid.cells, 4);
  assert_ok(grid_score(&f.results, &grid, &table, (RandomKey){1, STREAM_CALIBRATION, 0}, &scores));
  for (int i = 0; i < 4; i++) {
    int64_t row = 0, column = 0;

    for (int j = 0; j < 4; j++) row += scores.truths[4 * i + j], column += scores.truths[4 * j + i];
    assert_int_equal(row, TRUTHS / 4);
    assert_int_equal(column, TRUTHS / 4);
    all += row;
  }
  assert_int_equal(all, TRUTHS);
  clear(&f);
}

static void over_confidence_shows_in_the_cell_where_it_is(void **state)
{
  int64_t m[TRUTHS * CENTRES];
  const CountTable table = {TRUTHS, DRAWS, CENTRES, m};
  PriorGrid grid;
  GridScores scores;
  Fixture f;

  (void)state;
  make(&f, TRUTHS, 2);
  assert_ok(grid_place(&f.results, &grid));
  for (int64_t t = 0; t < TRUTHS; t++) { /* outside all draws where Omega_c is large and sigma_8 small */
    const double *truth = f.results.truth + t * f.results.scalars.count;
    const int here = truth[0] >= grid.edge[0][1] && truth[1] < grid.edge[1][1];

    for (int k = 0; k < CENTRES; k++) m[t * CENTRES + k] = here ? DRAWS : DRAWS / 2;
  }
  assert_ok(grid_score(&f.results, &grid, &table, (RandomKey){1, STREAM_CALIBRATION, 0}, &scores));
  for (int cell = 0; cell < 4; cell++) assert_close(scores.score[cell], cell == 2 ? 0.55 : 0.8, 1e-12);
  clear(&f);
}

static void too_few_truths_or_a_fixed_parameter_make_no_cells(void **state)
{
  PriorGrid grid;
  Fixture f;

  (void)state;
  make(&f, 60, 4); /* 16 for each of 2 x 2 are 64 */
  assert_ok(grid_place(&f.results, &grid));
  assert_int_equal(grid.cells, 0);
  clear(&f);
  make(&f, TRUTHS, 1);
  assert_ok(grid_place(&f.results, &grid));
  assert_int_equal(grid.cells, 0);
  clear(&f);
  make(&f, TRUTHS, 4);
  f.results.scalars.count = 1; /* sigma_8 is not among them */
  assert_ok(grid_place(&f.results, &grid));
  assert_int_equal(grid.cells, 0);
  clear(&f);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(scalars_are_the_free_parameters_and_s8),
                   cmocka_unit_test(every_row_and_column_of_cells_has_its_share_of_truths),
                   cmocka_unit_test(over_confidence_shows_in_the_cell_where_it_is),
                   cmocka_unit_test(too_few_truths_or_a_fixed_parameter_make_no_cells))
