#include "campaign/internal.h"
#include "campaign_fixture.h"

/* What is wrong with a file; 0 for nothing. */
typedef struct {
  PetscInt bins, size;
  const char *parameters;
  double degrees, bad_value, Omega_c;
} Foreign;

static const Foreign right = {BINS, SIZE, "Omega_c,Omega_b,sigma_8,h,n_s,w_0", 2, 0, 0.25};
enum { COUNT = 3 };
static const char path[] = "map_file_test.h5";

static void attribute_text(hid_t object, const char *name, const char *text)
{
  const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);

  H5Tset_size(type, strlen(text));
  const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(H5Awrite(attribute, type, text) >= 0);
  H5Aclose(attribute), H5Sclose(space), H5Tclose(type);
}

static void attribute_real(hid_t object, const char *name, double value)
{
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate2(object, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);

  assert_true(H5Awrite(attribute, H5T_NATIVE_DOUBLE, &value) >= 0);
  H5Aclose(attribute), H5Sclose(space);
}

static double value_of(int64_t map, size_t i)
{
  return (double)map + (double)i / 1024;
}

/* Big-endian doubles, as another machine may have written them. */
static void write_file(Foreign f)
{
  const hsize_t maps[4] = {COUNT, (hsize_t)f.bins, (hsize_t)f.size, (hsize_t)f.size}, thetas[2] = {COUNT, PARAMETERS};
  const size_t values = (size_t)(f.bins * f.size * f.size);
  const double theta[PARAMETERS] = {f.Omega_c, 0.05, 0.8, 0.7, 0.96, -1};
  double *kappa = calloc(COUNT * values, sizeof *kappa), all[COUNT * PARAMETERS];
  const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t map_space = H5Screate_simple(4, maps, NULL), theta_space = H5Screate_simple(2, thetas, NULL);
  const hid_t map_set = H5Dcreate2(file, "kappa", H5T_IEEE_F64BE, map_space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t theta_set = H5Dcreate2(file, "theta", H5T_IEEE_F64BE, theta_space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

  assert_non_null(kappa);
  for (int map = 0; map < COUNT; map++) {
    for (size_t i = 0; i < values; i++) kappa[(size_t)map * values + i] = value_of(map, i);
    memcpy(all + map * PARAMETERS, theta, sizeof theta);
  }
  if (f.bad_value != 0) kappa[2 * values + 1 * (size_t)(f.size * f.size) + 3 * (size_t)f.size + 5] = f.bad_value;
  assert_true(H5Dwrite(map_set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, kappa) >= 0);
  assert_true(H5Dwrite(theta_set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
  attribute_text(theta_set, "parameters", f.parameters);
  attribute_real(file, "field_of_view", f.degrees);
  H5Dclose(map_set), H5Dclose(theta_set), H5Sclose(map_space), H5Sclose(theta_space), H5Fclose(file);
  free(kappa);
}

static void maps_and_parameters_come_as_they_stand(void **state)
{
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  MapFile *file = NULL;
  float kappa[PIXELS];
  double theta[PARAMETERS];

  (void)state;
  write_file(right);
  assert_ok(map_file_open(path, &s->survey, s->prior, &file));
  for (int64_t map = COUNT - 1; map >= 0; map--) {
    assert_ok(map_file_get(file, map, kappa, theta));
    for (size_t i = 0; i < PIXELS; i++) assert_true(kappa[i] == (float)value_of(map, i));
    assert_true(theta[0] == 0.25 && theta[5] == -1);
  }
  assert_fails(map_file_get(file, COUNT, kappa, theta), NEPHRITE_ERR_INPUT, "has 3 maps");
  assert_ok(map_file_close(&file));
  assert_null(file);
  setting_destroy(s);
  unlink(path);
}

static void refuse(Foreign f, const char *reason)
{
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  MapFile *file = NULL;

  write_file(f);
  assert_fails(map_file_open(path, &s->survey, s->prior, &file), NEPHRITE_ERR_INPUT, reason);
  assert_ok(map_file_close(&file));
  setting_destroy(s);
  unlink(path);
}

static void maps_of_another_survey_or_prior_are_refused(void **state)
{
  Foreign f = right;

  (void)state;
  f.bins = 3;
  refuse(f, "with 2 bins of 16 x 16 pixels");
  f = right, f.size = 8;
  refuse(f, "with 2 bins of 16 x 16 pixels");
  f = right, f.degrees = 5;
  refuse(f, "5 degrees wide; survey_field_of_view is 2");
  f = right, f.parameters = "Omega_b,Omega_c,sigma_8,h,n_s,w_0";
  refuse(f, "it must be Omega_c,Omega_b");
}

static void refuse_map(Foreign f, const char *reason)
{
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  MapFile *file = NULL;
  float kappa[PIXELS];
  double theta[PARAMETERS];

  write_file(f);
  assert_ok(map_file_open(path, &s->survey, s->prior, &file));
  assert_fails(map_file_get(file, 2, kappa, theta), NEPHRITE_ERR_INPUT, reason);
  assert_ok(map_file_close(&file));
  setting_destroy(s);
  unlink(path);
}

static void a_value_that_is_not_finite_and_a_universe_that_cannot_be_are_refused(void **state)
{
  Foreign f = right;

  (void)state;
  f.bad_value = NAN;
  refuse_map(f, "kappa of map 2 is nan in bin 1 at y 3, x 5");
  f = right, f.Omega_c = 1.5;
  refuse_map(f, "theta of map 2");
}

/* What the prior fixes or excludes cannot be inferred. */
static void a_universe_outside_of_the_prior_is_refused(void **state)
{
  static const char *const priors[][3] = {{"-prior_w_0", "fixed:-0.9", NULL}, {"-prior_h", "uniform:0.5,0.6", NULL}};

  (void)state;
  for (int i = 0; i < 2; i++) {
    Setting *s = setting_create(PETSC_COMM_SELF, "unused", priors[i]);
    MapFile *file = NULL;
    float kappa[PIXELS];
    double theta[PARAMETERS];

    write_file(right);
    assert_ok(map_file_open(path, &s->survey, s->prior, &file));
    assert_fails(map_file_get(file, 1, kappa, theta), NEPHRITE_ERR_INPUT,
                 "theta of map 1 is outside of the prior section: Omega_c 0.25, Omega_b 0.05, sigma_8 0.8, h 0.7");
    assert_ok(map_file_close(&file));
    setting_destroy(s);
    unlink(path);
  }
}

static void a_file_that_is_not_there_is_refused(void **state)
{
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  MapFile *file = NULL;

  (void)state;
  assert_fails(map_file_open("nowhere.h5", &s->survey, s->prior, &file), NEPHRITE_ERR_INPUT, "nowhere.h5");
  assert_ok(map_file_close(&file));
  setting_destroy(s);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(maps_and_parameters_come_as_they_stand),
                   cmocka_unit_test(maps_of_another_survey_or_prior_are_refused),
                   cmocka_unit_test(a_value_that_is_not_finite_and_a_universe_that_cannot_be_are_refused),
                   cmocka_unit_test(a_universe_outside_of_the_prior_is_refused),
                   cmocka_unit_test(a_file_that_is_not_there_is_refused))
