#include "nephrite_test.h"

#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 20, COLUMNS = 1500 };

static char path[256];
static float kappa[ROWS][COLUMNS];
static double theta[ROWS];

static void make_product(uint64_t *digest)
{
  const ProductInfo info = {"shard", 1, "seed: 3\n", 3};
  ProductWriter *writer = NULL;

  for (int i = 0; i < ROWS; i++) {
    theta[i] = 0.25 * i;
    for (int j = 0; j < COLUMNS; j++) kappa[i][j] = (float)(i * COLUMNS + j);
  }
  assert_ok(product_create(PETSC_COMM_SELF, path, &info, 1000, &writer));
  assert_ok(product_declare(
      writer, &(ProductDataset){"kappa", H5T_NATIVE_FLOAT, 2, {ROWS, COLUMNS}, DIGEST_ROWS, "1", "maps"}));
  assert_ok(product_declare(
      writer, &(ProductDataset){"group/theta", H5T_NATIVE_DOUBLE, 1, {ROWS}, DIGEST_WHOLE, "1", "parameters"}));
  for (hsize_t i = 0; i < ROWS; i++) assert_ok(product_write(writer, "kappa", i, 1, kappa[i]));
  assert_ok(product_write(writer, "group/theta", 0, ROWS, theta));
  assert_ok(product_commit(writer, digest));
  assert_ok(product_writer_destroy(&writer));
}

static void what_was_written_is_read_back(void **state)
{
  ProductReader *reader = NULL;
  uint64_t written, read;
  float row[COLUMNS];
  double as_double[COLUMNS], values[ROWS];

  (void)state;
  make_product(&written);
  assert_ok(product_open(path, "shard", 1, &reader));
  assert_ok(product_read(reader, "kappa", H5T_NATIVE_FLOAT, 7, 1, row));
  assert_memory_equal(row, kappa[7], sizeof row);
  assert_ok(product_read(reader, "kappa", H5T_NATIVE_DOUBLE, 7, 1, as_double));
  for (int j = 0; j < COLUMNS; j++) assert_true(as_double[j] == kappa[7][j]);
  assert_ok(product_read(reader, "group/theta", H5T_NATIVE_DOUBLE, 0, ROWS, values));
  assert_memory_equal(values, theta, sizeof values);
  assert_ok(product_digest(reader, &read));
  assert_true(read == written);
  assert_ok(product_verify(reader));
  assert_ok(product_close(&reader));
}

static void another_kind_or_a_newer_format_is_refused(void **state)
{
  ProductReader *reader = NULL;

  (void)state;
  make_product(NULL);
  assert_fails(product_open(path, "checkpoint", 1, &reader), NEPHRITE_ERR_INPUT, "is not a checkpoint");
  assert_ok(product_close(&reader));
  assert_fails(product_open(path, "shard", 0, &reader), NEPHRITE_ERR_INPUT, "format version");
  assert_ok(product_close(&reader));
  assert_fails(product_open("/nowhere/x.h5", "shard", 0, &reader), NEPHRITE_ERR_INPUT, "No such file");
  assert_ok(product_close(&reader));
}

static int make_path(void **state)
{
  (void)state;
  snprintf(path, sizeof path, "/tmp/nephrite-test-product-%ld.h5", (long)getpid());
  return 0;
}

static int remove_path(void **state)
{
  (void)state;
  unlink(path);
  return 0;
}

NEPHRITE_TEST_MAIN(cmocka_unit_test_setup_teardown(what_was_written_is_read_back, make_path, remove_path),
                   cmocka_unit_test_setup_teardown(another_kind_or_a_newer_format_is_refused, make_path, remove_path))
