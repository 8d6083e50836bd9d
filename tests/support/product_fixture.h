/** A small product of every kind of dataset, and a folder of its own for the files of a test. */
#ifndef PRODUCT_FIXTURE_H
#define PRODUCT_FIXTURE_H

#include "nephrite_test.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 24, BINS = 2, SIDE = 30, COLUMNS = BINS * SIDE * SIDE, PARAMETERS = 3 };

static char folder[128];

static inline const char *in_folder(const char *name)
{
  static char path[8][256];
  static int next = 0;

  next = (next + 1) % 8;
  snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
  return path[next];
}

static inline float kappa_value(hsize_t row, hsize_t column)
{
  return (float)(row * 10000 + column) / 7;
}

static inline void fill_kappa(hsize_t first, hsize_t count, float *kappa)
{
  for (hsize_t i = 0; i < count; i++)
    for (hsize_t j = 0; j < COLUMNS; j++) kappa[i * COLUMNS + j] = kappa_value(first + i, j);
}

static inline void fill_theta(double theta[ROWS][PARAMETERS])
{
  for (int i = 0; i < ROWS; i++)
    for (int p = 0; p < PARAMETERS; p++) theta[i][p] = 0.1 * i + p;
}

/* Maps by rows (rank by rank in blocks), parameters whole, a scalar, and attributes of every kind. */
static inline void declare_all(ProductWriter *writer)
{
  static const ProductDataset datasets[] = {
      {"kappa", H5I_INVALID_HID, 4, {ROWS, BINS, SIDE, SIDE}, DIGEST_ROWS, "1", "convergence"},
      {"truth/theta", H5I_INVALID_HID, 2, {ROWS, PARAMETERS}, DIGEST_WHOLE, "1", "parameters"},
      {"truth-step", H5I_INVALID_HID, 0, {0}, DIGEST_WHOLE, "1", "steps done"},
      {"small", H5I_INVALID_HID, 1, {ROWS}, DIGEST_ROWS, "deg", "many rows in a chunk"},
  };
  const hid_t type[] = {H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE, H5T_NATIVE_INT64, H5T_NATIVE_DOUBLE};
  const double real[] = {0.5, -1.5, 3};
  const int64_t whole[] = {1, -2};

  for (int i = 0; i < 4; i++) {
    ProductDataset dataset = datasets[i];

    dataset.type = type[i];
    assert_ok(product_declare(writer, &dataset));
  }
  assert_ok(product_attribute_text(writer, "kappa", "parameters", "a, b, c"));
  assert_ok(product_attribute_real(writer, NULL, "map_std", 3, real));
  assert_ok(product_attribute_int(writer, "truth", "range", 2, whole));
}

static inline void write_all(MPI_Comm comm, ProductWriter *writer)
{
  static float kappa[ROWS * COLUMNS];
  double theta[ROWS][PARAMETERS], small[ROWS];
  const int64_t step = 4711;
  PetscMPIInt rank, size;

  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  const hsize_t first = (hsize_t)(ROWS * rank / size), count = (hsize_t)(ROWS * (rank + 1) / size) - first;
  fill_theta(theta);
  fill_kappa(first, count, kappa);
  for (int i = 0; i < ROWS; i++) small[i] = i;
  for (hsize_t i = 0; i < ROWS / (hsize_t)size; i++) /* one row a time, as maps are made */
    assert_ok(product_write(writer, "kappa", first + i, 1, kappa + i * COLUMNS));
  assert_ok(product_write(writer, "truth/theta", 0, rank == size - 1 ? ROWS : 0, theta));
  assert_ok(product_write(writer, "truth-step", 0, rank == 0 ? 1 : 0, rank == 0 ? &step : NULL));
  assert_ok(product_write(writer, "small", first, count, small + first));
}

static inline void make_product(MPI_Comm comm, const char *path, uint64_t *digest)
{
  const ProductInfo info = {"shard", 2, "seed: 3\nsurvey:\n  bins: 2\n", 3};
  ProductWriter *writer = NULL;

  assert_ok(product_create(comm, path, &info, 1000, &writer));
  declare_all(writer);
  write_all(comm, writer);
  assert_ok(product_commit(writer, digest));
  assert_ok(product_writer_destroy(&writer));
}

static inline char *load_file(const char *path, size_t *size)
{
  FILE *file = fopen(path, "rb");

  if (!file) fail_msg("%s cannot be opened", path);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *bytes = malloc(*size);
  assert_int_equal(fread(bytes, 1, *size, file), *size);
  fclose(file);
  return bytes;
}

static inline void save_file(const char *path, const char *bytes, size_t size)
{
  FILE *file = fopen(path, "wb");

  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  fclose(file);
}

static inline int files_in_folder(void)
{
  DIR *directory = opendir(folder);
  int count = 0;

  assert_non_null(directory);
  for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

/* Setup and teardown of each test; all ranks share the folder. */
static inline int begin_folder(void **state)
{
  long number = (long)getpid();

  (void)state;
  MPI_Bcast(&number, 1, MPI_LONG, 0, PETSC_COMM_WORLD);
  snprintf(folder, sizeof folder, "/tmp/nephrite-test-product-%ld", number);
  return product_directory(PETSC_COMM_WORLD, folder) ? -1 : 0;
}

static inline int end_folder(void **state)
{
  char command[256];
  PetscMPIInt rank;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Barrier(PETSC_COMM_WORLD);
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  const int failed = rank == 0 ? system(command) : 0;
  MPI_Barrier(PETSC_COMM_WORLD);
  return failed;
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, begin_folder, end_folder)

#endif
