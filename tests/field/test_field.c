#include "fixtures.h"

#include <complex.h>
#include <omp.h>

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

static int free_golden(void **state)
{
  Golden *golden = *state;
  double *const arrays[] = {golden->white,       golden->lognormal,     golden->gaussian,     golden->variance,
                            golden->spectra.ell, golden->spectra.power, golden->spectra.shift};

  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
    double *array = arrays[i];
    assert_ok(PetscFree(array));
  }
  return 0;
}

static Field *make_field(const Golden *golden, FieldModel model)
{
  Field *field = NULL;

  assert_ok(
      field_create(PETSC_COMM_SELF, &(FieldShape){model, golden->bins, golden->ny, golden->nx, golden->pixel}, &field));
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
  assert_within(field_negative_fraction(field), 0, 0); /* as the file's attribute; k = 0 has no power */
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
  assert_ok(field_create(PETSC_COMM_SELF,
                         &(FieldShape){FIELD_LOGNORMAL, golden->bins, golden->ny, golden->nx, golden->pixel}, &field));
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

/* Of the map's white noise: the keyed map is the plain one of the keyed normals. */
static void a_keyed_map_is_made_of_the_normals_of_its_key(void **state)
{
  const Golden *golden = *state;
  const RandomKey key = {1, STREAM_FIELD, 5};
  const size_t count = (size_t)(golden->bins * golden->ny * golden->nx);
  Field *field = make_field(golden, FIELD_LOGNORMAL);
  float *keyed = NULL;
  double *white = NULL, *kappa = NULL;

  assert_ok(PetscMalloc3(count, &keyed, count, &white, count, &kappa));
  random_normal(key, 0, count, white);
  assert_ok(field_realise(field, white, kappa));
  assert_ok(field_realise_keyed(field, key, keyed));
  for (size_t i = 0; i < count; i++) assert_true(keyed[i] == (float)kappa[i]);
  assert_ok(PetscFree3(keyed, white, kappa));
  assert_ok(field_destroy(&field));
}

/* ------------------------------------------------------------------ statistics */

enum { NY = 24, NX = 32, COLUMNS = NX / 2 + 1, PIXELS = NY * NX, BINS = 3, PAIRS = 6, MAPS = 400 };

enum { RINGS = 6 };

/* Measured over input power of each pair, averaged over rings of |k|: sums over maps of that and of its square. */
typedef struct {
  double sum[PAIRS][RINGS], square[PAIRS][RINGS];
} Rings;

static void add_map(const double complex *mode, const double *power, Rings *rings)
{
  for (int i = 0; i < BINS; i++)
    for (int j = i; j < BINS; j++) {
      const int pair = lensing_pair(BINS, i, j);
      double ratio[RINGS] = {0}, modes[RINGS] = {0};

      for (int m = 1; m < NY * COLUMNS; m++) {
        const int y = m / COLUMNS, x = m % COLUMNS;
        const double k = hypot((double)x / NX, (double)(2 * y > NY ? y - NY : y) / NY); /* at most sqrt(1/2) */
        const double weight = x == 0 || x == NX / 2 ? 1 : 2;
        const double measured = creal(mode[i * NY * COLUMNS + m] * conj(mode[j * NY * COLUMNS + m])) / PIXELS;
        const int ring = (int)(k / 0.7072 * RINGS);

        ratio[ring] += weight * measured / power[pair * NY * COLUMNS + m];
        modes[ring] += weight;
      }
      for (int ring = 0; ring < RINGS; ring++) {
        rings->sum[pair][ring] += ratio[ring] / modes[ring];
        rings->square[pair][ring] += ratio[ring] / modes[ring] * ratio[ring] / modes[ring];
      }
    }
}

static void measure_power(Field *field, const double *power, Rings *rings)
{
  float kappa[BINS * PIXELS];
  double complex *mode = calloc(BINS * NY * COLUMNS, sizeof *mode);
  Fourier *fourier = NULL;

  assert_non_null(mode);
  assert_ok(fourier_create(NY, NX, &fourier));
  for (uint64_t map = 0; map < MAPS; map++) {
    assert_ok(field_realise_keyed(field, (RandomKey){9, STREAM_FIELD, map}, kappa));
    for (int bin = 0; bin < BINS; bin++) {
      for (int p = 0; p < PIXELS; p++) fourier_map(fourier)[p] = kappa[bin * PIXELS + p];
      fourier_forward(fourier);
      memcpy(mode + bin * NY * COLUMNS, fourier_modes(fourier), NY * COLUMNS * sizeof *mode);
    }
    add_map(mode, power, rings);
  }
  assert_ok(fourier_destroy(&fourier));
  free(mode);
}

/* Within 5 standard errors, taken from the scatter between maps: modes of log-normal maps are not independent. */
static void many_maps_have_the_power_that_went_in(void **state)
{
  LensingSpectra *spectra = power_law_spectra(BINS, 0.6);
  double *power = calloc(PAIRS * NY * COLUMNS, sizeof *power);
  Field *field = NULL;

  (void)state;
  assert_non_null(power);
  assert_ok(field_spectrum(spectra, NY, NX, test_pixel, power));
  for (int model = FIELD_LOGNORMAL; model <= FIELD_GAUSSIAN; model++) {
    Rings rings = {0};

    assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){(FieldModel)model, BINS, NY, NX, test_pixel}, &field));
    assert_ok(field_set_spectra(field, spectra));
    measure_power(field, power, &rings);
    for (int pair = 0; pair < PAIRS; pair++)
      for (int ring = 0; ring < RINGS; ring++) {
        const double mean = rings.sum[pair][ring] / MAPS, scatter = rings.square[pair][ring] / MAPS - mean * mean;

        assert_within(mean, 1, 5 * sqrt(scatter / MAPS));
        assert_true(scatter / MAPS < 0.1 * 0.1); /* a test that can fail */
      }
    assert_ok(field_destroy(&field));
  }
  assert_ok(lensing_spectra_destroy(&spectra));
  free(power);
}

static void the_gaussian_variance_is_the_sum_of_the_power(void **state)
{
  LensingSpectra *spectra = power_law_spectra(BINS, 0.6);
  Field *field = NULL;
  double *power = calloc(PAIRS * NY * COLUMNS, sizeof *power), variance[BINS];

  (void)state;
  assert_non_null(power);
  assert_ok(field_spectrum(spectra, NY, NX, test_pixel, power));
  assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_GAUSSIAN, BINS, NY, NX, test_pixel}, &field));
  assert_ok(field_set_spectra(field, spectra));
  assert_ok(field_gaussian_variance(field, variance));
  for (int i = 0; i < BINS; i++) {
    double sum = 0;

    for (int m = 0; m < NY * COLUMNS; m++)
      sum += (m % COLUMNS == 0 || m % COLUMNS == NX / 2 ? 1 : 2) * power[lensing_pair(BINS, i, i) * NY * COLUMNS + m] /
             PIXELS;
    assert_close(variance[i], sum, 1e-13);
  }
  assert_within(field_negative_fraction(field), 0, 0);
  assert_ok(field_destroy(&field));
  assert_ok(lensing_spectra_destroy(&spectra));
  free(power);
}

/* kappa > -lambda, and its mean over maps 0 where the Gaussian variance is an expectation. */
static void a_lognormal_map_is_above_minus_its_shift_and_has_no_mean(void **state)
{
  LensingSpectra *spectra = power_law_spectra(BINS, 0.6);
  float kappa[BINS * PIXELS];
  Field *field = NULL;
  double sum[BINS] = {0}, square[BINS] = {0};

  (void)state;
  assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_LOGNORMAL, BINS, NY, NX, test_pixel}, &field));
  assert_ok(field_set_spectra(field, spectra));
  for (uint64_t map = 0; map < MAPS; map++) {
    assert_ok(field_realise_keyed(field, (RandomKey){9, STREAM_FIELD, map}, kappa));
    for (int bin = 0; bin < BINS; bin++) {
      double mean = 0;

      for (int p = 0; p < PIXELS; p++) {
        assert_true(kappa[bin * PIXELS + p] > -spectra->shift[bin]);
        mean += kappa[bin * PIXELS + p] / (double)PIXELS;
      }
      sum[bin] += mean / MAPS;
      square[bin] += mean * mean / MAPS;
    }
  }
  for (int bin = 0; bin < BINS; bin++) assert_within(sum[bin], 0, 5 * sqrt(square[bin] / MAPS));
  assert_ok(field_destroy(&field));
  assert_ok(lensing_spectra_destroy(&spectra));
}

static void with_a_large_shift_a_lognormal_map_is_the_gaussian_one(void **state)
{
  LensingSpectra *spectra = power_law_spectra(BINS, 0.6);
  float gaussian[BINS * PIXELS], lognormal[BINS * PIXELS];
  Field *field = NULL;

  (void)state;
  for (int bin = 0; bin < BINS; bin++) spectra->shift[bin] = 1e7;
  for (int model = FIELD_LOGNORMAL; model <= FIELD_GAUSSIAN; model++) {
    assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){(FieldModel)model, BINS, NY, NX, test_pixel}, &field));
    assert_ok(field_set_spectra(field, spectra));
    assert_ok(field_realise_keyed(field, (RandomKey){3, STREAM_FIELD, 0}, model ? gaussian : lognormal));
    assert_ok(field_destroy(&field));
  }
  /* of order kappa/lambda, and the Fourier transform of ln(1 + 1e-17), to float */
  for (int p = 0; p < BINS * PIXELS; p++) assert_within(lognormal[p], gaussian[p], 1e-6 * 0.03);
  assert_ok(lensing_spectra_destroy(&spectra));
}

static void negative_eigenvalues_are_counted_over_the_whole_grid(void **state)
{
  LensingSpectra *spectra = power_law_spectra(2, 1.2);
  Field *field = NULL;

  (void)state;
  for (int square = 0; square < 2; square++) {
    assert_ok(
        field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_GAUSSIAN, 2, NY, square ? NY : NX, test_pixel}, &field));
    assert_ok(field_set_spectra(field, spectra));
    /* one of two eigenvalues, in every mode but k = 0 */
    assert_close(field_negative_fraction(field), 0.5 * (1 - 1. / (NY * (square ? NY : NX))), 1e-14);
    assert_ok(field_destroy(&field));
  }
  assert_ok(lensing_spectra_destroy(&spectra));
}

/* ------------------------------------------------------------------ refusals */

static void shifts_that_are_not_positive_are_refused_for_lognormal_fields_alone(void **state)
{
  LensingSpectra *spectra = power_law_spectra(2, 0.5);
  Field *field = NULL;

  (void)state;
  spectra->shift[1] = 0;
  assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_LOGNORMAL, 2, NY, NX, test_pixel}, &field));
  assert_fails(field_set_spectra(field, spectra), NEPHRITE_ERR_INPUT, "shift of bin 1 is 0");
  assert_ok(field_destroy(&field));
  assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_GAUSSIAN, 2, NY, NX, test_pixel}, &field));
  assert_ok(field_set_spectra(field, spectra));
  assert_ok(field_destroy(&field));
  assert_ok(lensing_spectra_destroy(&spectra));
}

static void a_field_without_spectra_or_with_others_is_refused(void **state)
{
  LensingSpectra *spectra = power_law_spectra(2, 0.5);
  Field *field = NULL;
  float kappa[PIXELS];

  (void)state;
  assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_GAUSSIAN, 1, NY, NX, test_pixel}, &field));
  assert_fails(field_realise_keyed(field, (RandomKey){3, STREAM_FIELD, 0}, kappa), NEPHRITE_ERR_INTERNAL,
               "before its spectra are set");
  assert_fails(field_set_spectra(field, spectra), NEPHRITE_ERR_INTERNAL, "spectra of 2 bins for a field of 1");
  assert_ok(field_destroy(&field));
  assert_ok(lensing_spectra_destroy(&spectra));
}

/* Spectra of three bins; a strong correlation makes eigenvalues negative. */
static LensingSpectra *three_bins(double correlation)
{
  LensingSpectra *spectra = NULL;

  assert_ok(lensing_spectra_create(3, 40, &spectra));
  for (PetscInt l = 0; l < 40; l++) {
    spectra->ell[l] = 10 * pow(1.2, (double)l);
    for (PetscInt i = 0; i < 3; i++)
      for (PetscInt j = i; j < 3; j++)
        spectra->power[lensing_pair(3, i, j) * 40 + l] = 1e-9 * (i == j ? 1 : correlation) * pow(1 + l, -0.5);
  }
  for (PetscInt i = 0; i < 3; i++) spectra->shift[i] = 0.02 * (double)(i + 1);
  return spectra;
}

static void nothing_depends_on_the_number_of_threads(void **state)
{
  enum { HEIGHT = 90, WIDTH = 96, COUNT = 3 * HEIGHT * WIDTH };
  static const int threads[] = {1, 2, 3, 8};
  static float map[4][COUNT];

  (void)state;
  for (int model = FIELD_LOGNORMAL; model <= FIELD_GAUSSIAN; model++) {
    LensingSpectra *spectra = three_bins(1.02);
    double variance[4][3], negative[4];

    for (int t = 0; t < 4; t++) {
      Field *field = NULL;

      omp_set_num_threads(threads[t]);
      assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){(FieldModel)model, 3, HEIGHT, WIDTH, 1e-3}, &field));
      for (uint64_t again = 0; again < 12; again++) { /* threads that disturb each other need not do so at once */
        assert_ok(field_set_spectra(field, spectra));
        assert_ok(field_realise_keyed(field, (RandomKey){5, STREAM_FIELD, again}, map[t]));
      }
      assert_ok(field_gaussian_variance(field, variance[t]));
      negative[t] = field_negative_fraction(field);
      assert_ok(field_destroy(&field));
      assert_memory_equal(map[t], map[0], sizeof *map);
      assert_memory_equal(variance[t], variance[0], sizeof *variance);
      assert_memory_equal(&negative[t], &negative[0], sizeof *negative);
    }
    omp_set_num_threads(1);
    assert_true(negative[0] > 0);
    assert_ok(lensing_spectra_destroy(&spectra));
  }
}

/* Of several pairs without a field, the first is named. */
static void threads_refuse_the_pair_that_one_thread_refuses(void **state)
{
  (void)state;
  for (int threads = 1; threads <= 8; threads *= 2) {
    LensingSpectra *spectra = three_bins(-0.9);
    Field *field = NULL;

    for (PetscInt i = 0; i < 3; i++) spectra->shift[i] = 1e-5;
    omp_set_num_threads(threads);
    assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_LOGNORMAL, 3, 32, 32, 1e-3}, &field));
    assert_fails(field_set_spectra(field, spectra), NEPHRITE_ERR_INPUT, "the correlation of bins 0 and 0 falls to");
    spectra->shift[0] = 1;
    spectra->shift[1] = 1e-4;
    assert_fails(field_set_spectra(field, spectra), NEPHRITE_ERR_INPUT, "the correlation of bins 0 and 1 falls to");
    omp_set_num_threads(1);
    assert_ok(field_destroy(&field));
    assert_ok(lensing_spectra_destroy(&spectra));
  }
}

static void a_map_that_is_no_map_is_refused(void **state)
{
  Field *field = NULL;

  (void)state;
  assert_fails(field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_GAUSSIAN, 0, 8, 8, 1e-3}, &field), NEPHRITE_ERR_CONFIG,
               "0 tomographic bins");
  assert_fails(field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_GAUSSIAN, 2, 8, 1, 1e-3}, &field), NEPHRITE_ERR_CONFIG,
               "1 x 8");
}

NEPHRITE_TEST_MAIN(
    cmocka_unit_test_setup_teardown(a_lognormal_map_is_that_of_an_independent_code, read_golden, free_golden),
    cmocka_unit_test_setup_teardown(a_gaussian_map_is_that_of_an_independent_code, read_golden, free_golden),
    cmocka_unit_test_setup_teardown(spectra_without_a_lognormal_field_are_refused, read_golden, free_golden),
    cmocka_unit_test_setup_teardown(a_keyed_map_depends_on_its_key_alone, read_golden, free_golden),
    cmocka_unit_test_setup_teardown(a_keyed_map_is_made_of_the_normals_of_its_key, read_golden, free_golden),
    cmocka_unit_test(many_maps_have_the_power_that_went_in),
    cmocka_unit_test(the_gaussian_variance_is_the_sum_of_the_power),
    cmocka_unit_test(a_lognormal_map_is_above_minus_its_shift_and_has_no_mean),
    cmocka_unit_test(with_a_large_shift_a_lognormal_map_is_the_gaussian_one),
    cmocka_unit_test(negative_eigenvalues_are_counted_over_the_whole_grid),
    cmocka_unit_test(shifts_that_are_not_positive_are_refused_for_lognormal_fields_alone),
    cmocka_unit_test(a_field_without_spectra_or_with_others_is_refused),
    cmocka_unit_test(nothing_depends_on_the_number_of_threads),
    cmocka_unit_test(threads_refuse_the_pair_that_one_thread_refuses),
    cmocka_unit_test(a_map_that_is_no_map_is_refused))
