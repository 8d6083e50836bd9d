#include "calibration/fixtures.h"
#include "calibration/internal.h"

#include <math.h>

enum { TRUTHS = 432, DRAWS = 10 };

/* Results of a survey whose Omega_c, sigma_8 and h are free; posteriors lie where the truth does, unless changed. */
typedef struct {
  Results results;
  CalibrateConfig calibrate;
  InferenceSetup setup;
  Prior *prior;
} Fixture;

static void make(Fixture *f, int64_t truths, const char *grid, PetscInt cells)
{
  PriorConfig config;

  memset(f, 0, sizeof *f);
  memset(&config, 0, sizeof config);
  const char *const wcdm[] = {"uniform:0.1,0.5", "fixed:0.05", "uniform:0.6,1",
                              "uniform:0.6,0.8", "fixed:1",    "fixed:-1"};
  for (int i = 0; i < PRIOR_ENTRIES; i++) strcpy(config.distribution[i], i < 6 ? wcdm[i] : "fixed:0");
  assert_ok(prior_create(&config, 1, &f->prior));
  f->calibrate = (CalibrateConfig){.cells = cells};
  strcpy(f->calibrate.grid, grid);
  f->setup.prior = f->prior;
  f->results = (Results){.setup = &f->setup, .calibrate = &f->calibrate, .truths = truths, .draws = DRAWS};
  assert_ok(scalars_of(f->prior, &f->results.scalars));
  const size_t values = (size_t)(truths * f->results.scalars.count);
  f->results.truth = calloc(values, sizeof(double));
  f->results.mean = calloc(values, sizeof(double));
  assert_true(f->results.truth && f->results.mean);
  random_uniform((RandomKey){1, STREAM_PARAMETERS, 0}, 0, values, f->results.truth);
  memcpy(f->results.mean, f->results.truth, values * sizeof(double));
}

static void clear(Fixture *f)
{
  free(f->results.truth);
  free(f->results.mean);
  assert_ok(prior_destroy(&f->prior));
}

static void scalars_are_the_free_parameters_and_what_follows_from_them(void **state)
{
  Fixture f;
  const double theta[6] = {0.25, 0.05, 0.8, 0.7, 1, -1};

  (void)state;
  make(&f, 1, "", 1);
  assert_string_equal(f.results.scalars.names, "Omega_c,sigma_8,h,Omega_m,S8");
  assert_close(scalar_value(&f.results.scalars, 1, theta), 0.8, 1e-15);
  assert_close(scalar_value(&f.results.scalars, 3, theta), 0.3, 1e-15);
  assert_close(scalar_value(&f.results.scalars, 4, theta), 0.8, 1e-15);
  assert_string_equal(scalar_name(f.prior, &f.results.scalars, 2), "h");
  assert_int_equal(scalar_find(f.prior, &f.results.scalars, "S8"), 4);
  assert_int_equal(scalar_find(f.prior, &f.results.scalars, "w_0"), -1);
  assert_true(scalar_is_known(f.prior, "w_0") && scalar_is_known(f.prior, "Omega_m"));
  assert_false(scalar_is_known(f.prior, "Omega_M"));
  clear(&f);
}

static void every_cell_has_as_many_truths_and_its_range(void **state)
{
  PosteriorGrid grid;
  Fixture f;

  (void)state;
  make(&f, TRUTHS, "Omega_c, S8,h", 3);
  assert_ok(grid_create(&f.results, &grid));
  assert_int_equal(grid.axes, 3);
  assert_int_equal(grid.count, 27);
  for (int c = 0; c < 27; c++) assert_int_equal(grid.truths[c], 16);
  for (int64_t t = 0; t < TRUTHS; t++)
    for (int a = 0; a < 3; a++) {
      const double value = f.results.truth[t * f.results.scalars.count + grid.scalar[a]], rounding = 1e-12;

      assert_true(value >= grid.low[grid.cell[t] * 3 + a] - rounding);
      assert_true(value <= grid.high[grid.cell[t] * 3 + a] + rounding);
    }
  for (int c = 0; c < 26; c++) { /* parts follow each other: along h within each part of S8, and so on */
    const int axis = c % 9 == 8 ? 0 : c % 3 == 2 ? 1 : 2;

    assert_true(grid.high[c * 3 + axis] < grid.low[(c + 1) * 3 + axis]);
  }
  assert_ok(grid_destroy(&grid));
  clear(&f);
}

static void cells_are_of_draws_and_truth_together(void **state)
{
  PosteriorGrid grid;
  Fixture f;

  (void)state;
  make(&f, TRUTHS, "h", 2);
  const PetscInt scalars = f.results.scalars.count;
  for (int64_t t = 0; t < TRUTHS; t++) { /* ten draws outweigh one truth */
    f.results.truth[t * scalars + 2] = t % 2 ? 1 : 0;
    f.results.mean[t * scalars + 2] = t % 2 ? 0.2 : 0.5;
  }
  assert_ok(grid_create(&f.results, &grid));
  for (int64_t t = 0; t < TRUTHS; t++) assert_int_equal(grid.cell[t], t % 2 ? 0 : 1);
  assert_close(grid.low[0], (10 * 0.2 + 1) / 11, 1e-12);
  assert_close(grid.high[1], 10 * 0.5 / 11, 1e-12);
  assert_ok(grid_destroy(&grid));
  clear(&f);
}

static void there_are_as_many_cells_as_there_are_truths_for(void **state)
{
  PosteriorGrid grid;
  Fixture f;

  (void)state;
  make(&f, TRUTHS - 1, "Omega_c,S8,h", 3); /* 16 for each of 3 x 3 x 3 are 432 */
  assert_ok(grid_create(&f.results, &grid));
  assert_int_equal(grid.along, 2);
  assert_int_equal(grid.count, 8);
  assert_ok(grid_destroy(&grid));
  clear(&f);
  make(&f, 31, "Omega_c", 3);
  assert_ok(grid_create(&f.results, &grid));
  assert_int_equal(grid.count, 0);
  assert_ok(grid_destroy(&grid));
  clear(&f);
  make(&f, TRUTHS, "w_0,n_s", 3); /* fixed, both of them */
  assert_ok(grid_create(&f.results, &grid));
  assert_int_equal(grid.count, 0);
  assert_ok(grid_destroy(&grid));
  clear(&f);
}

static void what_is_no_parameter_is_refused(void **state)
{
  const struct {
    const char *grid, *says;
  } wrong[] = {{"S_8", "'S_8' is neither a parameter"},
               {"S8,h,S8", "names S8 twice"},
               {"Omega_c,sigma_8,h,Omega_m,S8", "4 parameters at most"}};
  Fixture f;

  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    make(&f, 1, wrong[i].grid, 3);
    assert_fails(grid_check(f.prior, &f.calibrate), NEPHRITE_ERR_CONFIG, wrong[i].says);
    clear(&f);
  }
  make(&f, 1, "w_0, S8", 3);
  assert_ok(grid_check(f.prior, &f.calibrate));
  clear(&f);
}

/* ---- numbers of truths, in cells ---- */

enum { MEMBERS = 16, CELLS = 27 };

/* Uniform numbers, and cells that know nothing of them. */
static PosteriorGrid plain_grid(PetscInt *cell, int64_t *truths)
{
  for (int t = 0; t < MEMBERS * CELLS; t++) cell[t] = t % CELLS;
  for (int c = 0; c < CELLS; c++) truths[c] = MEMBERS;
  return (PosteriorGrid){.axes = 1, .along = CELLS, .count = CELLS, .cell = cell, .truths = truths};
}

static void chances_of_all_cells_are_uniform_if_all_is_well(void **state)
{
  enum { RUNS = 400 };
  PetscInt cell[MEMBERS * CELLS];
  int64_t truths[CELLS], below[2] = {0};
  double value[MEMBERS * CELLS], mean[CELLS], error[CELLS], deviation[CELLS];
  const PosteriorGrid grid = plain_grid(cell, truths);
  CellMeans means = {mean, error, deviation, 0, 0, 0};

  (void)state;
  for (int run = 0; run < RUNS; run++) {
    random_uniform((RandomKey){3, STREAM_CALIBRATION, (uint64_t)run}, 0, MEMBERS * CELLS, value);
    cell_means(&grid, MEMBERS * CELLS, value, 0.5, &means);
    below[0] += means.p_value < 0.1;
    below[1] += means.least_p_value < 0.1;
  }
  for (int i = 0; i < 2; i++) assert_in_range(below[i], 20, 65); /* 40 +- 6 */
}

static void a_cell_that_is_wrong_shows_in_both_chances(void **state)
{
  PetscInt cell[MEMBERS * CELLS];
  int64_t truths[CELLS];
  double value[MEMBERS * CELLS], mean[CELLS], error[CELLS], deviation[CELLS];
  const PosteriorGrid grid = plain_grid(cell, truths);
  CellMeans means = {mean, error, deviation, 0, 0, 0};

  (void)state;
  random_uniform((RandomKey){3, STREAM_CALIBRATION, 0}, 0, MEMBERS * CELLS, value);
  for (int t = 5; t < MEMBERS * CELLS; t += CELLS) value[t] += 0.5;
  cell_means(&grid, MEMBERS * CELLS, value, 0.5, &means);
  assert_close(error[5], sqrt(1. / 12 / MEMBERS), 0.1);
  assert_true(means.p_value < 1e-4 && means.least_p_value < 1e-5);
  assert_close(means.least_p_value, CELLS * erfc(deviation[5] / sqrt(2)), 1e-6); /* of both signs */
  for (int c = 0; c < CELLS; c++) assert_true(c == 5 ? deviation[c] > 5 : fabs(deviation[c]) < 4);
}

/* Truth x ~ N(0, 1), seen with noise as large: an exact posterior has mean y/2 and variance 1/2. */
static void exact_posteriors_pass_by_where_they_lie_and_not_by_their_truth(void **state)
{
  enum { COUNT = 2000 };
  double normal[2], value[COUNT], mean[2][2], error[2], deviation[2];
  PetscInt cell[2][COUNT];
  int64_t truths[2];
  CellMeans means[2];

  (void)state;
  for (int t = 0; t < COUNT; t++) {
    random_normal((RandomKey){3, STREAM_CALIBRATION, (uint64_t)t}, 0, 2, normal);
    value[t] = (normal[0] - (normal[0] + normal[1]) / 2) * sqrt(2);
    cell[0][t] = normal[0] + normal[1] > 0;
    cell[1][t] = normal[0] > 0;
  }
  for (int by = 0; by < 2; by++) {
    const PosteriorGrid grid = {.axes = 1, .along = 2, .count = 2, .cell = cell[by], .truths = truths};

    truths[0] = truths[1] = 0;
    for (int t = 0; t < COUNT; t++) truths[cell[by][t]]++;
    means[by] = (CellMeans){mean[by], error, deviation, 0, 0, 0};
    cell_means(&grid, COUNT, value, 0, &means[by]);
  }
  assert_true(means[0].p_value > 0.01);
  assert_true(means[1].p_value < 1e-10);
  assert_true(mean[1][0] < -0.4 && mean[1][1] > 0.4);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(scalars_are_the_free_parameters_and_what_follows_from_them),
                   cmocka_unit_test(every_cell_has_as_many_truths_and_its_range),
                   cmocka_unit_test(cells_are_of_draws_and_truth_together),
                   cmocka_unit_test(there_are_as_many_cells_as_there_are_truths_for),
                   cmocka_unit_test(what_is_no_parameter_is_refused),
                   cmocka_unit_test(chances_of_all_cells_are_uniform_if_all_is_well),
                   cmocka_unit_test(a_cell_that_is_wrong_shows_in_both_chances),
                   cmocka_unit_test(exact_posteriors_pass_by_where_they_lie_and_not_by_their_truth))
