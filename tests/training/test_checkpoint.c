#include "../../src/training/internal.h"
#include "network/example.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const CheckpointOwner owner = {"seed: 5\n", 5};

/* A campaign directory of its own for each test. */
static void make_directory(char *directory, size_t size)
{
  char folder[PETSC_MAX_PATH_LEN];

  snprintf(directory, size, "/tmp/nephrite-checkpoint-XXXXXX");
  assert_non_null(mkdtemp(directory));
  snprintf(folder, sizeof folder, "%s/checkpoints", directory);
  assert_int_equal(mkdir(folder, 0777), 0);
}

static void remove_directory(const char *directory)
{
  char command[PETSC_MAX_PATH_LEN + 16];

  snprintf(command, sizeof command, "rm -r '%s'", directory);
  assert_int_equal(system(command), 0);
}

/* A training that has gone a few steps: every number different. */
typedef struct {
  Network *network;
  size_t count;
  Scalar *values[ARRAYS];
  TrainingState state;
} Trained;

static void add_history(History *history, int64_t steps)
{
  for (int64_t step = 1; step <= steps; step++) {
    const double s = (double)step;

    assert_ok(history_add_step(history, &(StepRecord){step, s + .1, s + .2, s + .3, s + .4, s + .5, s + .6, s + .7,
                                                      s + .8, s + .9, s + .91, s + .92}));
    if (step % 2 == 0) assert_ok(history_add_validation(history, &(ValidationRecord){step, s, -s, fabs(s - 4) + 1}));
  }
}

static Trained make_training(const NetworkShape *shape, int64_t steps)
{
  Trained e = {.state = {.step = steps, .position = 6 * steps, .trained = 40, .planned = 90, .patience_from = 3}};

  e.state.normalisation = (Normalisation){.bins = shape->bins, .parameters = shape->parameters};
  for (PetscInt i = 0; i < shape->bins; i++) e.state.normalisation.map_std[i] = 0.01 * (i + 1) / 3;
  for (PetscInt i = 0; i < shape->parameters; i++) {
    e.state.normalisation.theta_mean[i] = 0.3 + i / 7.;
    e.state.normalisation.theta_std[i] = 0.1 + i / 11.;
    e.state.normalisation.theta_low[i] = -i / 3.;
    e.state.normalisation.theta_high[i] = i / 13.;
  }
  e.state.normalisation.one_points = network_one_point_count(shape);
  for (PetscInt i = 0; i < e.state.normalisation.one_points; i++)
    e.state.normalisation.one_point_unit[i] = 1 / (i + 5.);
  e.state.normalisation.summaries = network_summary_count(shape);
  for (PetscInt i = 0; i < e.state.normalisation.summaries; i++) {
    e.state.normalisation.summary_mean[i] = 1 / (i + 3.);
    e.state.normalisation.summary_std[i] = 1 / (i + 13.);
  }
  add_history(&e.state.history, steps);
  assert_ok(network_create(shape, 1, NETWORK_INFERENCE, &e.network));
  e.count = network_parameter_count(e.network);
  for (size_t i = 0; i < ARRAYS; i++) e.values[i] = example_array(100 + i, e.count);
  return e;
}

static void free_training(Trained *e)
{
  for (size_t i = 0; i < ARRAYS; i++) free(e->values[i]);
  assert_ok(history_clear(&e->state.history));
  assert_ok(network_destroy(&e->network));
}

static void assert_same_history(const History *a, const History *b)
{
  assert_int_equal(a->steps, b->steps);
  assert_int_equal(a->validations, b->validations);
  assert_memory_equal(a->step, b->step, (size_t)a->steps * sizeof *a->step);
  assert_memory_equal(a->validation, b->validation, (size_t)a->validations * sizeof *a->validation);
}

static PetscErrorCode write_path(const char *path, const Trained *e)
{
  CheckpointWriter *writer = NULL;

  PetscErrorCode error = checkpoint_create(path, &owner, e->network, &e->state, &writer);
  for (int array = 0; array < ARRAYS && !error; array++)
    error = checkpoint_put(writer, (TrainingArray)array, e->values[array]);
  if (!error) error = checkpoint_commit(writer);
  assert_ok(checkpoint_writer_destroy(&writer));
  return error;
}

static PetscErrorCode read_path(const char *path, Trained *e)
{
  CheckpointReader *reader = NULL;

  PetscErrorCode error = checkpoint_open(path, e->network, &reader);
  if (!error) error = checkpoint_get_state(reader, &e->state);
  for (int array = 0; array < ARRAYS && !error; array++)
    error = checkpoint_get(reader, (TrainingArray)array, e->values[array]);
  assert_ok(checkpoint_close(&reader));
  return error;
}

static void write_training(const char *directory, int64_t step, const Trained *e)
{
  char path[PETSC_MAX_PATH_LEN];

  assert_ok(checkpoint_path(directory, step, path));
  assert_ok(write_path(path, e));
}

/* Change one byte among the averaged weights, the second of four arrays of one size. */
static void damage(const char *directory, int64_t step)
{
  char path[PETSC_MAX_PATH_LEN];
  unsigned char byte;

  assert_ok(checkpoint_path(directory, step, path));
  const int file = open(path, O_RDWR);
  const off_t place = lseek(file, 0, SEEK_END) * 3 / 8;
  assert_int_equal(pread(file, &byte, 1, place), 1);
  byte ^= 0x10;
  assert_int_equal(pwrite(file, &byte, 1, place), 1);
  close(file);
}

static void assert_same_shape(const NetworkShape *a, const NetworkShape *b)
{
  assert_int_equal(a->ny, b->ny);
  assert_int_equal(a->nx, b->nx);
  assert_int_equal(a->bins, b->bins);
  assert_int_equal(a->observation_channels, b->observation_channels);
  assert_int_equal(a->parameters, b->parameters);
  assert_memory_equal(&a->config, &b->config, sizeof a->config);
}

static void check_round_trip(NetworkShape shape)
{
  Trained written = make_training(&shape, 5), read = make_training(&shape, 0);
  char directory[64], path[PETSC_MAX_PATH_LEN];

  make_directory(directory, sizeof directory);
  write_training(directory, 5, &written);
  for (size_t i = 0; i < ARRAYS; i++) memset(read.values[i], 0, read.count * sizeof(Scalar));
  assert_ok(checkpoint_path(directory, 5, path));
  assert_ok(read_path(path, &read));
  for (size_t i = 0; i < ARRAYS; i++)
    assert_memory_equal(read.values[i], written.values[i], read.count * sizeof(Scalar));
  assert_true(read.state.step == 5 && read.state.position == 30 && read.state.trained == 40);
  assert_true(read.state.planned == 90 && read.state.patience_from == 3);
  assert_memory_equal(&read.state.normalisation, &written.state.normalisation, sizeof read.state.normalisation);
  assert_same_history(&read.state.history, &written.state.history);
  free_training(&written);
  free_training(&read);
  remove_directory(directory);
}

static void what_was_written_is_read_back_bit_for_bit(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  check_round_trip(shape);
  shape.config.spectra = 2;
  check_round_trip(shape);
  shape.config.one_point = 1;
  check_round_trip(shape);
}

static void the_shape_of_the_network_and_the_configuration_are_in_the_file(void **state)
{
  NetworkShape shape = example_shape();
  NetworkShape read = {0};

  shape.config.spectra = 2;
  shape.config.one_point = 3;
  shape.config.flow = FLOW_PARAMETERS_FIRST;
  Trained e = make_training(&shape, 1);
  char directory[64], path[PETSC_MAX_PATH_LEN], *configuration = NULL;

  (void)state;
  make_directory(directory, sizeof directory);
  write_training(directory, 1, &e);
  assert_ok(checkpoint_path(directory, 1, path));
  assert_ok(checkpoint_describe(path, &read, &configuration));
  assert_same_shape(&read, &shape);
  assert_string_equal(configuration, owner.configuration);
  assert_ok(PetscFree(configuration));
  free_training(&e);
  remove_directory(directory);
}

static void a_flipped_bit_is_found_and_the_file_named(void **state)
{
  const NetworkShape shape = example_shape();
  Trained e = make_training(&shape, 3);
  char directory[64], path[PETSC_MAX_PATH_LEN];

  (void)state;
  make_directory(directory, sizeof directory);
  write_training(directory, 3, &e);
  damage(directory, 3);
  assert_ok(checkpoint_path(directory, 3, path));
  assert_fails(read_path(path, &e), NEPHRITE_ERR_INPUT, "step-00000003.h5");
  free_training(&e);
  remove_directory(directory);
}

static void a_checkpoint_under_the_name_of_another_step_is_refused(void **state)
{
  const NetworkShape shape = example_shape();
  Trained e = make_training(&shape, 3);
  char directory[64], path[PETSC_MAX_PATH_LEN];

  (void)state;
  make_directory(directory, sizeof directory);
  write_training(directory, 4, &e);
  assert_ok(checkpoint_path(directory, 4, path));
  assert_fails(read_path(path, &e), NEPHRITE_ERR_INPUT, "step-00000004.h5: holds step 3");
  free_training(&e);
  remove_directory(directory);
}

static void a_truncated_file_is_refused(void **state)
{
  const NetworkShape shape = example_shape();
  Trained e = make_training(&shape, 3);
  char directory[64], path[PETSC_MAX_PATH_LEN];

  (void)state;
  make_directory(directory, sizeof directory);
  write_training(directory, 3, &e);
  assert_ok(checkpoint_path(directory, 3, path));
  assert_int_equal(truncate(path, 10000), 0);
  assert_fails(read_path(path, &e), NEPHRITE_ERR_INPUT, "step-00000003.h5");
  free_training(&e);
  remove_directory(directory);
}

static void a_checkpoint_of_a_network_of_another_width_is_refused(void **state)
{
  NetworkShape shape = example_shape();
  Trained narrow = make_training(&shape, 1);
  char directory[64], path[PETSC_MAX_PATH_LEN];

  (void)state;
  make_directory(directory, sizeof directory);
  write_training(directory, 1, &narrow);
  shape.config.width = 48;
  Trained wide = make_training(&shape, 1);
  assert_ok(checkpoint_path(directory, 1, path));
  assert_fails(read_path(path, &wide), NEPHRITE_ERR_INPUT, "has shape [24, ");
  free_training(&narrow);
  free_training(&wide);
  remove_directory(directory);
}

static void weights_that_are_not_finite_are_never_written(void **state)
{
  const NetworkShape shape = example_shape();
  char directory[64], path[PETSC_MAX_PATH_LEN];

  (void)state;
  make_directory(directory, sizeof directory);
  assert_ok(checkpoint_path(directory, 2, path));
  for (size_t array = 0; array < ARRAYS; array++) {
    Trained e = make_training(&shape, 2);
    const NetworkTensor *tensor = network_tensor(e.network, 7);

    e.values[array][tensor->offset + 1] = NAN;
    assert_fails(write_path(path, &e), NEPHRITE_ERR_INTERNAL, tensor->name);
    assert_int_equal(access(path, F_OK), -1);
    free_training(&e);
  }
  remove_directory(directory);
}

static void assert_list(const char *directory, PetscInt count, const int64_t *expected)
{
  PetscInt found;
  int64_t *steps = NULL;

  assert_ok(checkpoint_list(directory, &found, &steps));
  assert_int_equal(found, count);
  for (PetscInt i = 0; i < count; i++) assert_int_equal(steps[i], expected[i]);
  assert_ok(PetscFree(steps));
}

static void touch(const char *directory, const char *name)
{
  char path[PETSC_MAX_PATH_LEN];

  snprintf(path, sizeof path, "%s/checkpoints/%s", directory, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fclose(file);
}

static void checkpoints_are_listed_newest_first_and_nothing_else_is(void **state)
{
  const char *const names[] = {"step-00000020.h5", "step-00000003.h5",  "step-123456789012.h5", "step-00000100.h5",
                               "step-1.h5.part",   "other-00000001.h5", "step-00000007.h5~"};
  char directory[64];

  (void)state;
  make_directory(directory, sizeof directory);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) touch(directory, names[i]);
  assert_list(directory, 4, (const int64_t[]){123456789012, 100, 20, 3});
  remove_directory(directory);
  assert_list(directory, 0, NULL); /* a campaign without the folder has none */
}

static void pruning_leaves_the_newest_and_the_best_and_drops_an_abandoned_future(void **state)
{
  char directory[64], path[PETSC_MAX_PATH_LEN];

  (void)state;
  make_directory(directory, sizeof directory);
  for (int64_t step = 10; step <= 80; step += 10) {
    assert_ok(checkpoint_path(directory, step, path));
    touch(directory, strrchr(path, '/') + 1);
  }
  assert_ok(checkpoint_prune(directory, 70, 2, 30));
  assert_list(directory, 3, (const int64_t[]){70, 60, 30});
  assert_ok(checkpoint_prune(directory, 70, 2, 70)); /* the best is one of the newest */
  assert_list(directory, 2, (const int64_t[]){70, 60});
  assert_ok(checkpoint_prune(directory, 70, 1, -1)); /* no best one yet */
  assert_list(directory, 1, (const int64_t[]){70});
  remove_directory(directory);
}

static void what_a_killed_job_was_writing_is_removed(void **state)
{
  char directory[64], part[PETSC_MAX_PATH_LEN];

  (void)state;
  make_directory(directory, sizeof directory);
  touch(directory, "step-00000011.h5.part");
  touch(directory, "step-00000010.h5");
  touch(directory, "notes.part");
  assert_ok(checkpoint_remove_parts(directory));
  snprintf(part, sizeof part, "%s/checkpoints/step-00000011.h5.part", directory);
  assert_int_equal(access(part, F_OK), -1);
  snprintf(part, sizeof part, "%s/checkpoints/notes.part", directory);
  assert_int_equal(access(part, F_OK), 0);
  assert_list(directory, 1, (const int64_t[]){10});
  remove_directory(directory);
  assert_fails(checkpoint_remove_parts(directory), NEPHRITE_ERR_IO, directory);
}

/* Held open, a file would keep its room on the disk after it is removed. */
static void a_file_that_is_no_checkpoint_is_not_left_open(void **state)
{
  const hid_t everything = (hid_t)H5F_OBJ_ALL;
  NetworkShape shape;
  char *configuration = NULL;

  (void)state;
  assert_fails(checkpoint_describe(NEPHRITE_REFERENCE "/network.h5", &shape, &configuration), NEPHRITE_ERR_INPUT,
               "is not a checkpoint of nephrite");
  assert_int_equal(H5Fget_obj_count(everything, H5F_OBJ_ALL), 0);
}

static void assert_model(const char *path, int64_t step, const Trained *e)
{
  const NetworkShape shape = example_shape();
  Model *model = NULL;

  assert_ok(model_load(path, &model));
  assert_int_equal(model->step, step);
  assert_int_equal(model->trained, 40);
  assert_int_equal(model->weight_count, e->count);
  assert_memory_equal(model->weights, e->values[ARRAY_EMA], e->count * sizeof(Scalar));
  assert_same_shape(&model->shape, &shape);
  assert_string_equal(model->configuration, owner.configuration);
  assert_ok(model_destroy(&model));
  assert_null(model);
}

static void a_model_is_the_best_checkpoint_of_a_campaign_by_its_averaged_weights(void **state)
{
  const NetworkShape shape = example_shape();
  char directory[64], path[PETSC_MAX_PATH_LEN];

  (void)state;
  make_directory(directory, sizeof directory);
  Trained at2 = make_training(&shape, 2), at4 = make_training(&shape, 4), at6 = make_training(&shape, 6);
  for (size_t i = 0; i < at4.count; i++) at4.values[ARRAY_EMA][i] += 1;
  for (size_t i = 0; i < at6.count; i++) at6.values[ARRAY_EMA][i] += 2;
  write_training(directory, 2, &at2);
  write_training(directory, 4, &at4); /* the least parameter part is at step 4 */
  write_training(directory, 6, &at6);
  assert_model(directory, 4, &at4);
  assert_ok(checkpoint_path(directory, 6, path));
  assert_model(path, 6, &at6);
  free_training(&at2);
  free_training(&at4);
  free_training(&at6);
  remove_directory(directory);
}

static void remove_checkpoint(const char *directory, int64_t step)
{
  char path[PETSC_MAX_PATH_LEN];

  assert_ok(checkpoint_path(directory, step, path));
  assert_int_equal(unlink(path), 0);
}

static void assert_no_model(const char *directory, const char *words)
{
  Model *model = NULL;

  assert_fails(model_load(directory, &model), NEPHRITE_ERR_INPUT, words);
  assert_ok(model_destroy(&model));
}

static void no_other_checkpoint_is_taken_for_a_damaged_one_until_that_is_removed(void **state)
{
  const NetworkShape shape = example_shape();
  char directory[64];

  (void)state;
  make_directory(directory, sizeof directory);
  Trained at2 = make_training(&shape, 2), at4 = make_training(&shape, 4), at6 = make_training(&shape, 6);
  write_training(directory, 2, &at2);
  write_training(directory, 4, &at4); /* the best */
  write_training(directory, 6, &at6);
  damage(directory, 4);
  assert_no_model(directory, "step-00000004.h5");
  remove_checkpoint(directory, 4);
  assert_model(directory, 6, &at6);
  damage(directory, 6);
  assert_no_model(directory, "step-00000006.h5");
  remove_checkpoint(directory, 6);
  assert_model(directory, 2, &at2);
  free_training(&at2);
  free_training(&at4);
  free_training(&at6);
  remove_directory(directory);
}

static void a_campaign_without_checkpoints_has_no_model(void **state)
{
  Model *model = NULL;
  char directory[64];

  (void)state;
  make_directory(directory, sizeof directory);
  assert_fails(model_load(directory, &model), NEPHRITE_ERR_INPUT, "holds no checkpoint");
  assert_ok(model_destroy(&model));
  assert_fails(model_load("/nonexistent/step-00000001.h5", &model), NEPHRITE_ERR_INPUT, "/nonexistent");
  assert_ok(model_destroy(&model));
  remove_directory(directory);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(what_was_written_is_read_back_bit_for_bit),
                   cmocka_unit_test(the_shape_of_the_network_and_the_configuration_are_in_the_file),
                   cmocka_unit_test(a_flipped_bit_is_found_and_the_file_named),
                   cmocka_unit_test(a_checkpoint_under_the_name_of_another_step_is_refused),
                   cmocka_unit_test(a_truncated_file_is_refused),
                   cmocka_unit_test(a_checkpoint_of_a_network_of_another_width_is_refused),
                   cmocka_unit_test(weights_that_are_not_finite_are_never_written),
                   cmocka_unit_test(checkpoints_are_listed_newest_first_and_nothing_else_is),
                   cmocka_unit_test(pruning_leaves_the_newest_and_the_best_and_drops_an_abandoned_future),
                   cmocka_unit_test(what_a_killed_job_was_writing_is_removed),
                   cmocka_unit_test(a_file_that_is_no_checkpoint_is_not_left_open),
                   cmocka_unit_test(a_model_is_the_best_checkpoint_of_a_campaign_by_its_averaged_weights),
                   cmocka_unit_test(no_other_checkpoint_is_taken_for_a_damaged_one_until_that_is_removed),
                   cmocka_unit_test(a_campaign_without_checkpoints_has_no_model))
