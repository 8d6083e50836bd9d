/* nephrite-test: mpi */
#include "field/internal.h"
#include "fixtures.h"

enum { BINS = 3 };

static PetscMPIInt world(int (*ask)(MPI_Comm, int *))
{
  PetscMPIInt answer;

  ask(PETSC_COMM_WORLD, &answer);
  return answer;
}

/* The same spectra on one rank and on all. */
typedef struct {
  FieldShape shape;
  LensingSpectra *spectra;
  Field *alone, *together;
  PetscInt first, rows;
} Pair;

static Pair make_pair(FieldModel model, PetscInt ny, PetscInt nx, double correlation)
{
  Pair p = {.shape = {model, BINS, ny, nx, test_pixel}, .spectra = power_law_spectra(BINS, correlation)};

  assert_ok(field_create(PETSC_COMM_SELF, &p.shape, &p.alone));
  assert_ok(field_create(PETSC_COMM_WORLD, &p.shape, &p.together));
  assert_ok(field_set_spectra(p.alone, p.spectra));
  assert_ok(field_set_spectra(p.together, p.spectra));
  field_slab(p.together, &p.first, &p.rows);
  return p;
}

static void destroy_pair(Pair *p)
{
  assert_ok(field_destroy(&p->alone));
  assert_ok(field_destroy(&p->together));
  assert_ok(lensing_spectra_destroy(&p->spectra));
}

static size_t map_values(const FieldShape *shape, PetscInt rows)
{
  return (size_t)(shape->bins * rows * shape->nx);
}

/* The rows of this rank out of a whole map, or a sentinel beside them. */
static void take_rows(const Pair *p, const double *map, double *slab)
{
  for (PetscInt bin = 0; bin < BINS; bin++)
    memcpy(slab + map_values(&p->shape, p->rows) / BINS * (size_t)bin,
           map + (bin * p->shape.ny + p->first) * p->shape.nx, (size_t)(p->rows * p->shape.nx) * sizeof *slab);
}

static double largest(const double *map, size_t count)
{
  double largest_value = 0;

  for (size_t i = 0; i < count; i++) largest_value = fmax(largest_value, fabs(map[i]));
  return largest_value;
}

static void check_realise(Pair *p)
{
  const size_t whole = map_values(&p->shape, p->shape.ny), part = map_values(&p->shape, p->rows);
  double *map = calloc(2 * whole + 2 * part + 1, sizeof *map), *white = map + whole;
  double *slab = white + whole, *expected = slab + part;

  assert_non_null(map);
  random_normal((RandomKey){.seed = 2, .stream = STREAM_FIELD}, 0, whole, white);
  assert_ok(field_realise(p->alone, white, map));
  take_rows(p, white, expected);
  assert_ok(field_realise(p->together, expected, slab));
  take_rows(p, map, expected);
  const double scale = largest(map, whole);
  for (size_t i = 0; i < part; i++) assert_within(slab[i], expected[i], 1e-12 * scale); /* rounding of two transforms */
  free(map);
}

static void check_keyed(Pair *p)
{
  const RandomKey key = {.seed = 2, .stream = STREAM_FIELD, .index = 5};
  const size_t whole = map_values(&p->shape, p->shape.ny), part = map_values(&p->shape, p->rows);
  float *map = calloc(whole + part, sizeof *map), *slab = map + whole;

  assert_non_null(map);
  assert_ok(field_realise_keyed(p->alone, key, map));
  assert_ok(field_realise_keyed(p->together, key, slab));
  for (PetscInt bin = 0; bin < BINS; bin++)
    for (PetscInt i = 0; i < p->rows * p->shape.nx; i++) {
      const double ours = slab[bin * p->rows * p->shape.nx + i];
      const double theirs = map[(bin * p->shape.ny + p->first) * p->shape.nx + i];

      assert_within(ours, theirs, 1e-7 * fabs(theirs) + 1e-12); /* the last bit of a float */
    }
  free(map);
}

static void check_expectations(const Pair *p)
{
  double alone[BINS], together[BINS];

  assert_ok(field_gaussian_variance(p->alone, alone));
  assert_ok(field_gaussian_variance(p->together, together));
  for (int i = 0; i < BINS; i++) assert_close(together[i], alone[i], 1e-13); /* the order of a sum */
  assert_within(field_negative_fraction(p->together), field_negative_fraction(p->alone), 1e-14);
}

static void compare_tables(const double *ours, const double *theirs, size_t count)
{
  const double scale = largest(theirs, count);

  for (size_t i = 0; i < count; i++) assert_within(ours[i], theirs[i], 1e-12 * scale); /* the order of sums */
}

/* Of F with the derivatives 1 + 100 kappa + noise by the map. */
static void pull_back(Field *field, const Pair *p, const double *white, double *bar, LensingSpectra *spectra_bar)
{
  PetscInt first, rows;

  field_slab(field, &first, &rows);
  const size_t pixels = (size_t)(rows * p->shape.nx);
  double *noise = calloc(BINS * pixels + 1, sizeof *noise);
  assert_non_null(noise);
  assert_ok(field_record(field));
  assert_ok(field_set_spectra(field, p->spectra));
  assert_ok(field_realise(field, white, bar));
  for (size_t bin = 0; bin < BINS; bin++)
    random_normal((RandomKey){.seed = 3, .stream = STREAM_FIELD},
                  (uint64_t)(((PetscInt)bin * p->shape.ny + first) * p->shape.nx), pixels, noise + bin * pixels);
  for (size_t i = 0; i < BINS * pixels; i++) noise[i] += 1 + 100 * bar[i];
  assert_ok(field_pull_back(field, noise, bar, spectra_bar));
  free(noise);
}

static void check_derivatives(Pair *p)
{
  const size_t whole = map_values(&p->shape, p->shape.ny), part = map_values(&p->shape, p->rows);
  double *map = calloc(2 * whole + 2 * part + 1, sizeof *map), *white = map + whole;
  double *slab = white + whole, *expected = slab + part;
  LensingSpectra *alone = NULL, *together = NULL;

  assert_non_null(map);
  assert_ok(lensing_spectra_create(BINS, ELL_COUNT, &alone));
  assert_ok(lensing_spectra_create(BINS, ELL_COUNT, &together));
  random_normal((RandomKey){.seed = 2, .stream = STREAM_FIELD}, 0, whole, white);
  pull_back(p->alone, p, white, map, alone);
  take_rows(p, white, expected);
  pull_back(p->together, p, expected, slab, together);
  take_rows(p, map, expected);
  const double scale = largest(map, whole);
  for (size_t i = 0; i < part; i++) assert_within(slab[i], expected[i], 1e-12 * scale);
  for (size_t pair = 0; pair < BINS * (BINS + 1) / 2; pair++)
    compare_tables(together->power + pair * ELL_COUNT, alone->power + pair * ELL_COUNT, ELL_COUNT);
  compare_tables(together->shift, alone->shift, BINS);
  assert_ok(lensing_spectra_destroy(&alone));
  assert_ok(lensing_spectra_destroy(&together));
  free(map);
}

/* Every rank has its rows and no others, in order. */
static void check_division(const Pair *p)
{
  PetscInt before = 0, total = 0;

  MPI_Exscan(&p->rows, &before, 1, MPIU_INT, MPI_SUM, PETSC_COMM_WORLD);
  MPI_Allreduce(&p->rows, &total, 1, MPIU_INT, MPI_SUM, PETSC_COMM_WORLD);
  assert_int_equal(total, p->shape.ny);
  assert_int_equal(p->first, world(MPI_Comm_rank) ? before : 0);
}

static void check(FieldModel model, PetscInt ny, PetscInt nx, double correlation)
{
  Pair p = make_pair(model, ny, nx, correlation);

  check_division(&p);
  check_expectations(&p);
  check_realise(&p);
  check_keyed(&p);
  check_derivatives(&p);
  destroy_pair(&p);
}

static void a_map_made_together_and_its_derivatives_are_those_of_one_rank(void **state)
{
  (void)state;
  for (int model = FIELD_LOGNORMAL; model <= FIELD_GAUSSIAN; model++) {
    check((FieldModel)model, 32, 32, 0.6);
    check((FieldModel)model, 24, 40, 0.6);
    check((FieldModel)model, 36, 20, 0.6);
  }
}

static void ranks_may_have_no_rows_or_no_modes(void **state)
{
  (void)state;
  for (int model = FIELD_LOGNORMAL; model <= FIELD_GAUSSIAN; model++) {
    check((FieldModel)model, 6, 16, 0.6); /* 2, 2 and 2 of 6 rows on 4 ranks */
    check((FieldModel)model, 16, 4, 0.6); /* 1, 1 and 1 of 3 columns */
  }
}

static void a_gaussian_map_of_an_odd_number_of_pixels_can_be_divided(void **state)
{
  (void)state;
  check(FIELD_GAUSSIAN, 21, 15, 0.6);
  check(FIELD_GAUSSIAN, 15, 16, 0.6);
}

static void negative_eigenvalues_are_counted_over_all_ranks(void **state)
{
  Pair p = make_pair(FIELD_GAUSSIAN, 24, 24, 1.2);

  (void)state;
  assert_true(field_negative_fraction(p.alone) > 0.5);
  check_expectations(&p);
  check_realise(&p);
  check_derivatives(&p);
  destroy_pair(&p);
}

/* The correlation falls lowest in one place, which is on one rank: all refuse, and go on together. */
static void ranks_decide_alike_that_there_is_no_lognormal_field(void **state)
{
  Pair p = make_pair(FIELD_LOGNORMAL, 32, 32, 0.6);
  char alone[512];

  (void)state;
  for (int i = 0; i < BINS; i++) p.spectra->shift[i] = 1e-5;
  assert_fails(field_set_spectra(p.alone, p.spectra), NEPHRITE_ERR_INPUT, "bins 0 and 0");
  assert_ok(PetscStrncpy(alone, error_message(), sizeof alone));
  assert_fails(field_set_spectra(p.together, p.spectra), NEPHRITE_ERR_INPUT, "no log-normal field");
  assert_string_equal(error_message(), alone);
  for (int i = 0; i < BINS; i++) p.spectra->shift[i] = 0.015 * (1 + i);
  assert_ok(field_set_spectra(p.alone, p.spectra));
  assert_ok(field_set_spectra(p.together, p.spectra));
  check_realise(&p);
  destroy_pair(&p);
}

/* Only the last rank sees it, and the others do not wait for it. */
static void what_is_wrong_on_one_rank_is_refused_by_all(void **state)
{
  Pair p = make_pair(FIELD_LOGNORMAL, 32, 32, 0.6);

  (void)state;
  if (world(MPI_Comm_rank) == world(MPI_Comm_size) - 1) p.spectra->shift[1] = 0;
  assert_fails(field_set_spectra(p.together, p.spectra), NEPHRITE_ERR_INPUT, "shift of bin 1 is 0");
  destroy_pair(&p);
}

static void maps_that_cannot_be_divided_are_refused(void **state)
{
  const FieldShape odd_rows = {FIELD_LOGNORMAL, BINS, 15, 16, test_pixel};
  const FieldShape odd_columns = {FIELD_LOGNORMAL, BINS, 16, 15, test_pixel};
  const FieldShape few_rows = {FIELD_GAUSSIAN, BINS, 3, 16, test_pixel};
  Field *field = NULL;

  (void)state;
  assert_ok(field_check(&odd_rows, 1));
  assert_fails(field_check(&odd_rows, 2), NEPHRITE_ERR_CONFIG, "16 x 15 pixels cannot be divided over 2 ranks");
  assert_fails(field_check(&odd_columns, 4), NEPHRITE_ERR_CONFIG, "15 x 16 pixels cannot be divided over 4 ranks");
  assert_ok(field_check(&few_rows, 3));
  assert_fails(field_check(&few_rows, 4), NEPHRITE_ERR_CONFIG, "3 rows cannot be divided over 4 ranks");
  if (world(MPI_Comm_size) > 1)
    assert_fails(field_create(PETSC_COMM_WORLD, &odd_rows, &field), NEPHRITE_ERR_CONFIG, "must be even");
  assert_null(field);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_map_made_together_and_its_derivatives_are_those_of_one_rank),
                   cmocka_unit_test(ranks_may_have_no_rows_or_no_modes),
                   cmocka_unit_test(a_gaussian_map_of_an_odd_number_of_pixels_can_be_divided),
                   cmocka_unit_test(negative_eigenvalues_are_counted_over_all_ranks),
                   cmocka_unit_test(ranks_decide_alike_that_there_is_no_lognormal_field),
                   cmocka_unit_test(what_is_wrong_on_one_rank_is_refused_by_all),
                   cmocka_unit_test(maps_that_cannot_be_divided_are_refused))
