#include "nephrite/field.h"
#include "nephrite_test.h"

#include <stdlib.h>

/* The realisation of an independent code: white noise, spectra and shifts in, maps out. */
typedef struct {
  PetscInt bins, ny, nx;
  double pixel;
  LensingSpectra spectra;
  double *white, *lognormal, *gaussian, *variance;
} Golden;

static double *read_all(ProductReader *reader, const char *name, hsize_t shape[PRODUCT_MAX_RANK])
{
  int rank = 0;
  size_t size = 1;
  double *values = NULL;

  assert_ok(product_shape(reader, name, &rank, shape));
  for (int axis = 0; axis < rank; axis++) size *= shape[axis];
  assert_ok(PetscMalloc1(size, &values));
  assert_ok(product_read(reader, name, H5T_NATIVE_DOUBLE, 0, shape[0], values));
  return values;
}

static int read_golden(void **state)
{
  static Golden golden;
  ProductReader *reader = NULL;
  hsize_t shape[PRODUCT_MAX_RANK];

  assert_ok(product_open_foreign(NEPHRITE_REFERENCE "/field.h5", &reader));
  golden.white = read_all(reader, "white_noise", shape);
  golden.bins = (PetscInt)shape[0], golden.ny = (PetscInt)shape[1], golden.nx = (PetscInt)shape[2];
  golden.lognormal = read_all(reader, "convergence_lognormal", shape);
  golden.gaussian = read_all(reader, "convergence_gaussian", shape);
  golden.variance = read_all(reader, "gaussian_variance", shape);
  golden.spectra.bins = golden.bins;
  golden.spectra.ell = read_all(reader, "ell", shape);
  golden.spectra.ell_count = (PetscInt)shape[0];
  golden.spectra.power = read_all(reader, "C_ell", shape);
  golden.spectra.shift = read_all(reader, "shift", shape);
  assert_ok(product_read_attribute_real(reader, NULL, "pixel_size_rad", 1, &golden.pixel));
  assert_ok(product_close(&reader));
  *state = &golden;
  return 0;
}

static Field *make_field(const Golden *golden, FieldModel model)
{
  Field *field = NULL;

  assert_ok(field_create(model, golden->bins, golden->ny, golden->nx, golden->pixel, &field));
  assert_ok(field_set_spectra(field, &golden->spectra));
  return field;
}

static void assert_same_map(const double *ours, const double *theirs, PetscInt count)
{
  double largest = 0, worst = 0;

  for (PetscInt i = 0; i < count; i++) {
    largest = fmax(largest, fabs(theirs[i]));
    worst = fmax(worst, fabs(ours[i] - theirs[i]));
  }
  assert_within(worst / largest, 0, 1e-10);
}

static void a_lognormal_map_is_that_of_an_independent_code(void **state)
{
  const Golden *golden = *state;
  const PetscInt count = golden->bins * golden->ny * golden->nx;
  Field *field = make_field(golden, FIELD_LOGNORMAL);
  double *kappa = NULL, variance[NEPHRITE_MAX_BINS];

  assert_ok(PetscMalloc1(count, &kappa));
  assert_ok(field_realise(field, golden->white, kappa));
  assert_same_map(kappa, golden->lognormal, count);
  assert_ok(field_gaussian_variance(field, variance));
  for (PetscInt i = 0; i < golden->bins; i++) assert_close(variance[i], golden->variance[i], 1e-10);
  assert_ok(PetscFree(kappa));
  assert_ok(field_destroy(&field));
}

static void a_gaussian_map_is_that_of_an_independent_code(void **state)
{
  const Golden *golden = *state;
  const PetscInt count = golden->bins * golden->ny * golden->nx;
  Field *field = make_field(golden, FIELD_GAUSSIAN);
  double *kappa = NULL;

  assert_ok(PetscMalloc1(count, &kappa));
  assert_ok(field_realise(field, golden->white, kappa));
  assert_same_map(kappa, golden->gaussian, count);
  assert_ok(PetscFree(kappa));
  assert_ok(field_destroy(&field));
}

static void spectra_without_a_lognormal_field_are_refused(void **state)
{
  const Golden *golden = *state;
  LensingSpectra spectra = golden->spectra;
  double shift[NEPHRITE_MAX_BINS];
  Field *field = NULL;

  for (PetscInt i = 0; i < golden->bins; i++) shift[i] = 1e-5;
  spectra.shift = shift;
  assert_ok(field_create(FIELD_LOGNORMAL, golden->bins, golden->ny, golden->nx, golden->pixel, &field));
  assert_fails(field_set_spectra(field, &spectra), NEPHRITE_ERR_INPUT, "bins 0 and 0");
  assert_ok(field_destroy(&field));
}

static void a_keyed_map_depends_on_its_key_alone(void **state)
{
  const Golden *golden = *state;
  const size_t count = (size_t)(golden->bins * golden->ny * golden->nx);
  Field *field = make_field(golden, FIELD_LOGNORMAL);
  float *first = NULL, *other = NULL, *again = NULL;

  assert_ok(PetscMalloc3(count, &first, count, &other, count, &again));
  assert_ok(field_realise_keyed(field, (RandomKey){1, STREAM_FIELD, 5}, first));
  assert_ok(field_realise_keyed(field, (RandomKey){1, STREAM_FIELD, 6}, other));
  assert_ok(field_realise_keyed(field, (RandomKey){1, STREAM_FIELD, 5}, again));
  assert_memory_equal(first, again, count * sizeof *first);
  assert_memory_not_equal(first, other, count * sizeof *first);
  assert_ok(PetscFree3(first, other, again));
  assert_ok(field_destroy(&field));
}

static void a_map_that_is_no_map_is_refused(void **state)
{
  Field *field = NULL;

  (void)state;
  assert_fails(field_create(FIELD_GAUSSIAN, 0, 8, 8, 1e-3, &field), NEPHRITE_ERR_CONFIG, "0 tomographic bins");
  assert_fails(field_create(FIELD_GAUSSIAN, 2, 8, 1, 1e-3, &field), NEPHRITE_ERR_CONFIG, "1 x 8");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test_setup(a_lognormal_map_is_that_of_an_independent_code, read_golden),
                   cmocka_unit_test_setup(a_gaussian_map_is_that_of_an_independent_code, read_golden),
                   cmocka_unit_test_setup(spectra_without_a_lognormal_field_are_refused, read_golden),
                   cmocka_unit_test_setup(a_keyed_map_depends_on_its_key_alone, read_golden),
                   cmocka_unit_test(a_map_that_is_no_map_is_refused))
