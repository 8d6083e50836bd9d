#include "../../src/training/internal.h"
#include "nephrite_test.h"

#include <unistd.h>

static const char path[] = "history-test.h5";
static const ProductInfo info = {"history", 1, "seed: 1\n", 1};

static void history_with_times_is_read_as_written(void **state)
{
  (void)state;
  const StepRecord step = {.step = 1,
                           .loss = 2,
                           .seconds = 9,
                           .compute_seconds = 5,
                           .communication_seconds = 1,
                           .data_seconds = 3,
                           .checkpoint_seconds = 7};
  History history = {0}, read = {0};
  ProductWriter *writer = NULL;
  ProductReader *reader = NULL;

  assert_ok(history_add_step(&history, &step));
  assert_ok(product_create(PETSC_COMM_SELF, path, &info, 0, &writer));
  assert_ok(history_write(&history, "", writer));
  assert_ok(product_commit(writer, NULL));
  assert_ok(product_writer_destroy(&writer));
  assert_ok(product_open(path, "history", 1, &reader));
  assert_ok(history_read(reader, "", &read));
  assert_ok(product_close(&reader));
  assert_int_equal(read.steps, 1);
  assert_memory_equal(read.step, &step, sizeof step);
  assert_ok(history_clear(&history));
  assert_ok(history_clear(&read));
  assert_int_equal(unlink(path), 0);
}

/* As files were before the time of a step was told apart. */
static void write_without_times(void)
{
  static const char *const names[] = {
      "loss", "field", "theta", "gradient_norm", "learning_rate", "samples_per_second", "seconds"};
  const int64_t steps[] = {1, 2};
  const double values[] = {3, 4};
  ProductDataset column = {.name = "step",
                           .type = H5T_NATIVE_INT64,
                           .rank = 1,
                           .shape = {2},
                           .digest = DIGEST_WHOLE,
                           .units = "1",
                           .description = "column"};
  ProductWriter *writer = NULL;

  assert_ok(product_create(PETSC_COMM_SELF, path, &info, 0, &writer));
  assert_ok(product_declare(writer, &column));
  assert_ok(product_write(writer, "step", 0, 2, steps));
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    column.name = names[i];
    column.type = H5T_NATIVE_DOUBLE;
    assert_ok(product_declare(writer, &column));
    assert_ok(product_write(writer, names[i], 0, 2, values));
  }
  assert_ok(product_commit(writer, NULL));
  assert_ok(product_writer_destroy(&writer));
}

static void history_from_before_times_were_told_apart_has_none(void **state)
{
  (void)state;
  History history = {0};
  ProductReader *reader = NULL;

  write_without_times();
  assert_ok(product_open(path, "history", 1, &reader));
  assert_ok(history_read(reader, "", &history));
  assert_ok(product_close(&reader));
  assert_int_equal(history.steps, 2);
  for (int64_t i = 0; i < 2; i++) {
    assert_int_equal(history.step[i].step, i + 1);
    assert_true(history.step[i].seconds == 3. + (double)i);
    assert_true(history.step[i].compute_seconds == 0 && history.step[i].checkpoint_seconds == 0);
  }
  assert_ok(history_clear(&history));
  assert_int_equal(unlink(path), 0);
}

static void time_of_a_part_is_without_that_of_parts_within_it(void **state)
{
  (void)state;
  TrainingClock clock;
  StepRecord record = {0}, next = {0};

  assert_ok(clock_create(&clock));
  assert_ok(clock_begin(&clock, PART_BACKWARD));
  for (int i = 0; i < 2; i++) {
    assert_ok(clock_begin(&clock, PART_REDUCE));
    usleep(20000);
    assert_ok(clock_end(&clock, PART_REDUCE));
  }
  assert_ok(clock_end(&clock, PART_BACKWARD));
  clock_record(&clock, &record);
  clock_record(&clock, &next);
  assert_true(record.communication_seconds >= 0.04);
  assert_true(record.compute_seconds >= 0 && record.compute_seconds < record.communication_seconds);
  assert_true(next.communication_seconds == 0 && next.compute_seconds == 0);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(history_with_times_is_read_as_written),
                   cmocka_unit_test(history_from_before_times_were_told_apart_has_none),
                   cmocka_unit_test(time_of_a_part_is_without_that_of_parts_within_it))
