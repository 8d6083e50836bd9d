#include "../../src/training/internal.h"
#include "network/example.h"

#include <unistd.h>

/* A file of weights as a person makes it with HDF5 alone; tests change one thing in it. */
static const char *path(void)
{
  static char name[64];

  if (!*name) snprintf(name, sizeof name, "/tmp/nephrite-weights-%d.h5", (int)getpid());
  return name;
}

static void put_numbers(hid_t file, const char *name, hid_t type, hsize_t count, const void *values)
{
  const hid_t space = count > 1 ? H5Screate_simple(1, &count, NULL) : H5Screate(H5S_SCALAR);

  if (H5Aexists(file, name) > 0) H5Adelete(file, name);
  const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(H5Awrite(attribute, type, values) >= 0);
  H5Aclose(attribute), H5Sclose(space);
}

static void put_int(hid_t file, const char *name, int64_t value)
{
  put_numbers(file, name, H5T_NATIVE_INT64, 1, &value);
}

static void put_real(hid_t file, const char *name, double value)
{
  put_numbers(file, name, H5T_NATIVE_DOUBLE, 1, &value);
}

/* Of variable length, as h5py writes text. */
static void put_text(hid_t file, const char *name, const char *text)
{
  const hid_t type = H5Tcopy(H5T_C_S1);

  H5Tset_size(type, H5T_VARIABLE);
  put_numbers(file, name, type, 1, &text);
  H5Tclose(type);
}

static void put_tensor(hid_t file, const char *name, hid_t type, int rank, const hsize_t *shape, const Scalar *values)
{
  const hid_t space = H5Screate_simple(rank, shape, NULL);

  if (H5Lexists(file, name, H5P_DEFAULT) > 0) H5Ldelete(file, name, H5P_DEFAULT);
  const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(H5Dwrite(dataset, NEPHRITE_H5_SCALAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  H5Dclose(dataset), H5Sclose(space);
}

static void put_architecture(hid_t file)
{
  const NetworkShape s = example_shape();
  const struct {
    const char *name;
    PetscInt value;
  } numbers[] = {{"ny", s.ny},
                 {"nx", s.nx},
                 {"bins", s.bins},
                 {"observation_channels", s.observation_channels},
                 {"parameters", s.parameters},
                 {"depth", s.config.depth},
                 {"width", s.config.width},
                 {"heads", s.config.heads},
                 {"patch", s.config.patch},
                 {"observation_patch", s.config.observation_patch},
                 {"observation_start", s.config.observation_start},
                 {"cosmology_tokens", s.config.cosmology_tokens},
                 {"bottleneck", s.config.bottleneck},
                 {"time_frequencies", s.config.time_frequencies}};

  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) put_int(file, numbers[i].name, numbers[i].value);
  put_real(file, "rms_epsilon", s.config.rms_epsilon);
  put_real(file, "time_floor", s.config.time_floor);
  put_real(file, "rope_base", s.config.rope_base);
  put_real(file, "time_max_period", s.config.time_max_period);
  put_text(file, "conditioning", "tokens");
}

static const double map_std[] = {0.01, 0.02}, theta_mean[] = {0.3, 0.05, 0.8, 0.7, -1},
                    theta_std[] = {0.1, 0.01, 0.2, 0.1, 1};

typedef struct {
  Network *network;
  Scalar *values;
} Weights;

static Weights make_weights(void)
{
  const NetworkShape shape = example_shape();
  Weights w = {0};

  assert_ok(network_create(&shape, 1, NETWORK_INFERENCE, &w.network));
  w.values = example_array(7, network_parameter_count(w.network));
  return w;
}

static void free_weights(Weights *w)
{
  free(w->values);
  assert_ok(network_destroy(&w->network));
}

static void write_file(const Weights *w, hid_t type)
{
  const hid_t file = H5Fcreate(path(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);

  put_architecture(file);
  put_numbers(file, "map_std", H5T_NATIVE_DOUBLE, 2, map_std);
  put_numbers(file, "theta_mean", H5T_NATIVE_DOUBLE, 5, theta_mean);
  put_numbers(file, "theta_std", H5T_NATIVE_DOUBLE, 5, theta_std);
  for (PetscInt i = 0; i < network_tensor_count(w->network); i++) {
    const NetworkTensor *tensor = network_tensor(w->network, i);
    const hsize_t shape[] = {(hsize_t)tensor->shape[0], tensor->rank > 1 ? (hsize_t)tensor->shape[1] : 1};

    put_tensor(file, tensor->name, type, tensor->rank, shape, w->values + tensor->offset);
  }
  H5Fclose(file);
}

static hid_t reopened(void)
{
  return H5Fopen(path(), H5F_ACC_RDWR, H5P_DEFAULT);
}

static void assert_same_shape(const NetworkShape *a, const NetworkShape *b)
{
  assert_true(a->ny == b->ny && a->nx == b->nx && a->bins == b->bins);
  assert_true(a->observation_channels == b->observation_channels && a->parameters == b->parameters);
  assert_memory_equal(&a->config, &b->config, sizeof a->config);
}

static void assert_loads(const Weights *w)
{
  const NetworkShape shape = example_shape();
  Model *model = NULL;

  assert_ok(model_load(path(), &model));
  assert_int_equal(model->weight_count, network_parameter_count(w->network));
  assert_memory_equal(model->weights, w->values, model->weight_count * sizeof(Scalar));
  assert_same_shape(&model->shape, &shape);
  assert_memory_equal(model->normalisation.map_std, map_std, sizeof map_std);
  assert_memory_equal(model->normalisation.theta_mean, theta_mean, sizeof theta_mean);
  assert_memory_equal(model->normalisation.theta_std, theta_std, sizeof theta_std);
  assert_ok(model_destroy(&model));
}

static void assert_refused(const char *words)
{
  Model *model = NULL;

  assert_fails(model_load(path(), &model), NEPHRITE_ERR_INPUT, words);
  assert_non_null(strstr(error_message(), path()));
  assert_null(strchr(error_message(), '\n'));
  assert_ok(model_destroy(&model));
  assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0); /* nothing of it stays open */
}

/* ---- what is read ---- */

static void a_file_made_with_hdf5_alone_is_a_model_bit_for_bit(void **state)
{
  Weights w = make_weights();
  const hid_t types[] = {H5T_IEEE_F32LE, H5T_IEEE_F64LE, H5T_IEEE_F32BE, H5T_IEEE_F64BE};

  (void)state;
  for (size_t i = 0; i < 4; i++) {
    write_file(&w, types[i]);
    assert_loads(&w);
  }
  unlink(path());
  free_weights(&w);
}

static void without_a_history_nothing_has_been_trained_on_and_only_the_architecture_is_a_configuration(void **state)
{
  Weights w = make_weights();
  Model *model = NULL;

  (void)state;
  write_file(&w, H5T_IEEE_F32LE);
  assert_ok(model_load(path(), &model));
  assert_true(model->step == 0 && model->position == 0 && model->trained == 0);
  assert_null(model->parameter_names);
  assert_non_null(strstr(model->configuration, "network:\n  depth: 4\n  width: 24\n"));
  assert_non_null(strstr(model->configuration, "  conditioning: tokens\n"));
  assert_null(strstr(model->configuration, "ny"));
  assert_null(strstr(model->configuration, "dropout"));
  assert_ok(model_destroy(&model));
  unlink(path());
  free_weights(&w);
}

static void a_history_in_the_file_is_read(void **state)
{
  Weights w = make_weights();
  Model *model = NULL;

  (void)state;
  write_file(&w, H5T_IEEE_F32LE);
  const hid_t file = reopened();
  put_text(file, "kind", "weights");
  put_int(file, "format_version", 1);
  put_int(file, "step", 12);
  put_int(file, "position", 1536);
  put_int(file, "trained", 100);
  put_real(file, "dropout", 0.3);
  put_text(file, "configuration", "seed: 5\n");
  put_text(file, "parameter_names", "a,b,c,d,e");
  put_text(file, "note", "of no matter");
  H5Fclose(file);
  assert_ok(model_load(path(), &model));
  assert_true(model->step == 12 && model->position == 1536 && model->trained == 100);
  assert_string_equal(model->configuration, "seed: 5\n");
  assert_string_equal(model->parameter_names, "a,b,c,d,e");
  assert_close(model->shape.config.dropout, 0.3, 1e-15);
  assert_ok(model_destroy(&model));
  unlink(path());
  free_weights(&w);
}

/* ---- what is refused ---- */

typedef struct {
  void (*change)(hid_t file);
  const char *words;
} Fault;

static void assert_faults(const Fault *faults, size_t count)
{
  Weights w = make_weights();

  for (size_t i = 0; i < count; i++) {
    write_file(&w, H5T_IEEE_F32LE);
    const hid_t file = reopened();
    faults[i].change(file);
    H5Fclose(file);
    assert_refused(faults[i].words);
  }
  write_file(&w, H5T_IEEE_F32LE); /* and the file itself is sound */
  assert_loads(&w);
  unlink(path());
  free_weights(&w);
}

static const char tensor[] = "block.1.mlp.w3.bias"; /* [24] */

static void put_values(hid_t file, hid_t type, double value)
{
  const hsize_t shape = 24;
  double values[24] = {0};
  const hid_t space = H5Screate_simple(1, &shape, NULL);

  values[5] = value;
  H5Ldelete(file, tensor, H5P_DEFAULT);
  const hid_t dataset = H5Dcreate2(file, tensor, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  H5Dclose(dataset), H5Sclose(space);
}

static void missing(hid_t file)
{
  H5Ldelete(file, tensor, H5P_DEFAULT);
}

static void shorter(hid_t file)
{
  const Scalar values[23] = {0};

  put_tensor(file, tensor, H5T_IEEE_F32LE, 1, (const hsize_t[]){23}, values);
}

static void of_two_axes(hid_t file)
{
  const Scalar values[24] = {0};

  put_tensor(file, tensor, H5T_IEEE_F32LE, 2, (const hsize_t[]){24, 1}, values);
}

static void whole_numbers(hid_t file)
{
  put_values(file, H5T_STD_I64LE, 1);
}

static void half_precision(hid_t file)
{
  const hid_t half = H5Tcopy(H5T_IEEE_F32LE);

  H5Tset_fields(half, 15, 10, 5, 0, 10);
  H5Tset_size(half, 2);
  H5Tset_ebias(half, 15);
  put_values(file, half, 1);
  H5Tclose(half);
}

static void not_a_number(hid_t file)
{
  put_values(file, H5T_IEEE_F32LE, NAN);
}

static void infinite(hid_t file)
{
  put_values(file, H5T_IEEE_F64LE, -INFINITY);
}

#ifndef NEPHRITE_FLOAT64
static void too_large_for_float32(hid_t file)
{
  put_values(file, H5T_IEEE_F64LE, 1e300);
}
#endif

static void unknown(hid_t file)
{
  const Scalar one = 1;

  put_tensor(file, "block.4.norm1.weight", H5T_IEEE_F32LE, 1, (const hsize_t[]){1}, &one);
}

static void unknown_in_a_group(hid_t file)
{
  const Scalar one = 1;

  H5Gclose(H5Gcreate2(file, "optimizer", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  put_tensor(file, "optimizer/state", H5T_IEEE_F32LE, 1, (const hsize_t[]){1}, &one);
}

static void a_group_in_its_place(hid_t file)
{
  H5Ldelete(file, tensor, H5P_DEFAULT);
  H5Gclose(H5Gcreate2(file, tensor, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static void a_tensor_that_cannot_be_is_refused_by_its_name(void **state)
{
  static const Fault faults[] = {
      {missing, "has no tensor block.1.mlp.w3.bias"},
      {shorter, "block.1.mlp.w3.bias has shape [23]; by its attributes the network has [24]"},
      {of_two_axes, "block.1.mlp.w3.bias has shape [24, 1]; by its attributes the network has [24]"},
      {whole_numbers, "block.1.mlp.w3.bias is int64; it must be float32 or float64"},
      {half_precision, "block.1.mlp.w3.bias is float16; it must be float32 or float64"},
      {not_a_number, "at element 5; it must be finite"},
      {infinite, "tensor block.1.mlp.w3.bias is -"},
#ifndef NEPHRITE_FLOAT64
      {too_large_for_float32, "at element 5; it must be finite in float32"},
#endif
      {unknown, "holds block.4.norm1.weight, which is no tensor of the network"},
      {unknown_in_a_group, "holds optimizer/state, which is no tensor of the network"},
      {a_group_in_its_place, "has no readable dataset block.1.mlp.w3.bias"}};

  (void)state;
  assert_faults(faults, sizeof faults / sizeof *faults);
}

static void no_width(hid_t file)
{
  H5Adelete(file, "width");
}

static void no_depth(hid_t file)
{
  H5Adelete(file, "depth");
}

static void negative_depth(hid_t file)
{
  put_int(file, "depth", -2);
}

static void deeper(hid_t file)
{
  put_int(file, "depth", 5);
}

static void half_a_head(hid_t file)
{
  put_real(file, "heads", 2.5);
}

static void heads_that_do_not_divide(hid_t file)
{
  put_int(file, "heads", 5);
}

static void width_in_words(hid_t file)
{
  put_text(file, "width", "wide");
}

static void two_widths(hid_t file)
{
  put_numbers(file, "width", H5T_NATIVE_DOUBLE, 2, map_std);
}

static void too_many_bins(hid_t file)
{
  put_int(file, "bins", (int64_t)1 << 40);
}

static void no_floor(hid_t file)
{
  put_real(file, "time_floor", NAN);
}

static void by_telepathy(hid_t file)
{
  put_text(file, "conditioning", "telepathy");
}

static void no_normalisation(hid_t file)
{
  H5Adelete(file, "theta_mean");
}

static void of_three_bins(hid_t file)
{
  put_numbers(file, "map_std", H5T_NATIVE_DOUBLE, 3, theta_std);
}

static void without_scatter(hid_t file)
{
  const double values[] = {0.01, 0};

  put_numbers(file, "map_std", H5T_NATIVE_DOUBLE, 2, values);
}

static void without_mean(hid_t file)
{
  const double values[] = {0.3, INFINITY, 0.8, 0.7, -1};

  put_numbers(file, "theta_mean", H5T_NATIVE_DOUBLE, 5, values);
}

static void before_the_first(hid_t file)
{
  put_int(file, "position", -1);
}

static void from_the_future(hid_t file)
{
  put_int(file, "format_version", 2);
}

static void without_an_end(hid_t file)
{
  put_numbers(file, "theta_low", H5T_NATIVE_DOUBLE, 5, theta_mean);
}

static void told_too_much(hid_t file)
{
  put_int(file, "spectra", 2000);
}

static void told_in_unknown_units(hid_t file)
{
  put_int(file, "spectra", 2);
}

static void told_distributions_in_unknown_units(hid_t file)
{
  put_int(file, "one_point", 2);
}

static void turning_about(hid_t file)
{
  put_text(file, "flow", "backwards");
}

static void of_another_kind(hid_t file)
{
  put_text(file, "kind", "shard");
}

static void an_attribute_that_cannot_be_is_refused_by_its_name(void **state)
{
  static const Fault faults[] = {{no_width, "the root has no attribute width"},
                                 {no_depth, "neither a checkpoint of nephrite nor a file of weights"},
                                 {negative_depth, "attribute depth is -2; it must lie in [1, 1000]"},
                                 {deeper, "has no tensor block.4."},
                                 {half_a_head, "attribute heads is 2.5; it must be a whole number"},
                                 {heads_that_do_not_divide, "are of no network: network_width is 24"},
                                 {width_in_words, "attribute width"},
                                 {two_widths, "attribute width has 2 values, not 1"},
                                 {too_many_bins, "attribute bins is 1.09951e+12; it must lie in [1, 16]"},
                                 {no_floor, "attribute time_floor is"},
                                 {by_telepathy, "conditioning is \"telepathy\"; it must be tokens or channels"},
                                 {no_normalisation, "the root has no attribute theta_mean"},
                                 {of_three_bins, "attribute map_std has 3 values, not 2"},
                                 {without_scatter, "at index 1; it must be finite and positive"},
                                 {without_mean, "attribute theta_mean is"},
                                 {before_the_first, "attribute position is -1"},
                                 {without_an_end, "the root has no attribute theta_high"},
                                 {told_too_much, "attribute spectra is 2000; it must lie in [0, 1024]"},
                                 {told_in_unknown_units, "the root has no attribute summary_mean"},
                                 {told_distributions_in_unknown_units, "the root has no attribute one_point_unit"},
                                 {turning_about, "flow is \"backwards\"; it must be joint or parameters_first"},
                                 {from_the_future, "format version 2 of weights; this build reads up to 1"},
                                 {of_another_kind, "is not a checkpoint of nephrite but a shard"}};

  (void)state;
  assert_faults(faults, sizeof faults / sizeof *faults);
}

static void what_is_no_whole_hdf5_file_is_refused(void **state)
{
  Weights w = make_weights();

  (void)state;
  unlink(path());
  assert_refused("No such file");
  write_file(&w, H5T_IEEE_F32LE);
  assert_int_equal(truncate(path(), 20000), 0);
  assert_refused("truncated file");
  FILE *file = fopen(path(), "w");
  fputs("weights: of a kind\n", file);
  fclose(file);
  assert_refused("HDF5 says");
  unlink(path());
  free_weights(&w);
}

NEPHRITE_TEST_MAIN(
    cmocka_unit_test(a_file_made_with_hdf5_alone_is_a_model_bit_for_bit),
    cmocka_unit_test(without_a_history_nothing_has_been_trained_on_and_only_the_architecture_is_a_configuration),
    cmocka_unit_test(a_history_in_the_file_is_read), cmocka_unit_test(a_tensor_that_cannot_be_is_refused_by_its_name),
    cmocka_unit_test(an_attribute_that_cannot_be_is_refused_by_its_name),
    cmocka_unit_test(what_is_no_whole_hdf5_file_is_refused))
