/* nephrite-test: mpi */
#include "product_fixture.h"

static PetscMPIInt world_rank(void)
{
  PetscMPIInt rank;

  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  return rank;
}

static void expect_values(ProductReader *reader)
{
  static float kappa[ROWS * COLUMNS], expected[ROWS * COLUMNS];
  static double as_double[COLUMNS];
  double theta[ROWS][PARAMETERS], expected_theta[ROWS][PARAMETERS];
  int64_t step = 0;

  fill_kappa(0, ROWS, expected);
  fill_theta(expected_theta);
  assert_ok(product_read(reader, "kappa", H5T_NATIVE_FLOAT, 0, ROWS, kappa));
  assert_memory_equal(kappa, expected, sizeof kappa);
  assert_ok(product_read(reader, "kappa", H5T_NATIVE_FLOAT, 7, 2, kappa));
  assert_memory_equal(kappa, expected + 7 * COLUMNS, 2 * COLUMNS * sizeof *kappa);
  assert_ok(product_read(reader, "kappa", H5T_NATIVE_DOUBLE, 7, 1, as_double));
  for (int j = 0; j < COLUMNS; j++) assert_true(as_double[j] == (double)kappa[j]);
  assert_ok(product_read(reader, "truth/theta", H5T_NATIVE_DOUBLE, 0, ROWS, theta));
  assert_memory_equal(theta, expected_theta, sizeof theta);
  assert_ok(product_read(reader, "truth/theta", H5T_NATIVE_DOUBLE, 3, 1, theta)); /* part of a whole */
  assert_memory_equal(theta, expected_theta[3], sizeof theta[0]);
  assert_ok(product_read(reader, "truth-step", H5T_NATIVE_INT64, 0, 1, &step));
  assert_true(step == 4711);
}

static void what_was_written_is_read_back(void **state)
{
  ProductReader *reader = NULL;
  hsize_t shape[PRODUCT_MAX_RANK];
  PetscBool has;
  int rank;

  (void)state;
  make_product(PETSC_COMM_WORLD, in_folder("a.h5"), NULL);
  assert_ok(product_open(in_folder("a.h5"), "shard", 2, &reader));
  expect_values(reader);
  assert_ok(product_shape(reader, "kappa", &rank, shape));
  assert_int_equal(rank, 4);
  assert_true(shape[0] == ROWS && shape[1] == BINS && shape[2] == SIDE && shape[3] == SIDE);
  assert_ok(product_has(reader, "truth/theta", &has));
  assert_true(has);
  assert_ok(product_has(reader, "nothing/theta", &has));
  assert_false(has);
  assert_ok(product_verify(reader));
  assert_ok(product_close(&reader));
  assert_null(reader);
}

static void attributes_are_read_back(void **state)
{
  ProductReader *reader = NULL;
  char *text = NULL;
  double real[3];
  int64_t whole[2];

  (void)state;
  make_product(PETSC_COMM_WORLD, in_folder("a.h5"), NULL);
  assert_ok(product_open(in_folder("a.h5"), "shard", 2, &reader));
  assert_ok(product_read_attribute_text(reader, "kappa", "parameters", &text));
  assert_string_equal(text, "a, b, c");
  assert_ok(PetscFree(text));
  assert_ok(product_read_attribute_text(reader, NULL, "configuration", &text));
  assert_string_equal(text, "seed: 3\nsurvey:\n  bins: 2\n");
  assert_ok(PetscFree(text));
  assert_ok(product_read_attribute_text(reader, "kappa", "units", &text));
  assert_string_equal(text, "1");
  assert_ok(PetscFree(text));
  assert_ok(product_read_attribute_real(reader, NULL, "map_std", 3, real));
  assert_true(real[0] == 0.5 && real[1] == -1.5 && real[2] == 3);
  assert_ok(product_read_attribute_int(reader, "truth", "range", 2, whole));
  assert_true(whole[0] == 1 && whole[1] == -2);
  assert_ok(product_read_attribute_int(reader, NULL, "seed", 1, whole));
  assert_true(whole[0] == 3);
  assert_fails(product_read_attribute_real(reader, NULL, "map_std", 2, real), NEPHRITE_ERR_INPUT,
               "has 3 values, not 2");
  assert_fails(product_read_attribute_real(reader, NULL, "nothing", 1, real), NEPHRITE_ERR_INPUT,
               "no attribute nothing");
  assert_fails(product_read_attribute_text(reader, NULL, "map_std", &text), NEPHRITE_ERR_INPUT,
               "map_std is not one text");
  assert_fails(product_read_attribute_text(reader, NULL, "seed", &text), NEPHRITE_ERR_INPUT, "seed is not text");
  assert_ok(product_close(&reader));
}

static void equal_content_is_an_equal_file_whatever_the_number_of_ranks(void **state)
{
  PetscMPIInt size;
  uint64_t digest[3] = {0};
  char *bytes[3] = {NULL};
  size_t count[3] = {0};
  int files = 0;

  (void)state;
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  for (PetscMPIInt members = 1; members <= size; members *= 2, files++) {
    const PetscBool member = world_rank() < members ? PETSC_TRUE : PETSC_FALSE;
    const char *path = in_folder("b.h5");
    MPI_Comm comm;

    MPI_Comm_split(PETSC_COMM_WORLD, member ? 0 : MPI_UNDEFINED, world_rank(), &comm);
    if (member) {
      make_product(comm, path, &digest[files]);
      MPI_Comm_free(&comm);
    }
    MPI_Barrier(PETSC_COMM_WORLD);
    bytes[files] = load_file(path, &count[files]);
    MPI_Bcast(&digest[files], 1, MPI_UINT64_T, 0, PETSC_COMM_WORLD);
  }
  for (int i = 1; i < files; i++) {
    assert_true(digest[i] == digest[0]);
    assert_int_equal(count[i], count[0]);
    assert_memory_equal(bytes[i], bytes[0], count[0]);
  }
  for (int i = 0; i < files; i++) free(bytes[i]);
}

static void the_digest_read_is_the_one_written_and_belongs_to_the_content(void **state)
{
  const ProductInfo info = {"shard", 2, "", 3};
  ProductWriter *writer = NULL;
  ProductReader *reader = NULL;
  uint64_t written, read, other;
  double value = 1;
  char own[32];

  (void)state;
  make_product(PETSC_COMM_WORLD, in_folder("a.h5"), &written); /* '-' comes before '/' in "truth-step", "truth/theta" */
  assert_ok(product_open(in_folder("a.h5"), "shard", 2, &reader));
  assert_ok(product_digest(reader, &read));
  assert_true(read == written);
  assert_ok(product_close(&reader));
  snprintf(own, sizeof own, "own-%d.h5", world_rank());
  for (int i = 0; i < 2; i++, value = 2) {
    assert_ok(product_create(PETSC_COMM_SELF, in_folder(own), &info, 0, &writer));
    assert_ok(product_declare(writer, &(ProductDataset){"x", H5T_NATIVE_DOUBLE, 0, {0}, DIGEST_WHOLE, "1", "x"}));
    assert_ok(product_write(writer, "x", 0, 1, &value));
    assert_ok(product_commit(writer, i ? &other : &written));
    assert_ok(product_writer_destroy(&writer));
  }
  assert_true(other != written);
}

static void nothing_bears_the_name_before_it_is_whole(void **state)
{
  const ProductInfo info = {"shard", 2, "", 3};
  ProductWriter *writer = NULL;
  const char *path = in_folder("a.h5"), *part = in_folder("a.h5.part");

  (void)state;
  assert_ok(product_create(PETSC_COMM_WORLD, path, &info, 0, &writer));
  declare_all(writer);
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_int_equal(access(path, F_OK), -1);
  assert_int_equal(access(part, F_OK), 0);
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_ok(product_writer_destroy(&writer)); /* without having been committed */
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_int_equal(files_in_folder(), 0);
  MPI_Barrier(PETSC_COMM_WORLD);
  make_product(PETSC_COMM_WORLD, path, NULL);
  make_product(PETSC_COMM_WORLD, path, NULL); /* a second one takes its place */
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_int_equal(files_in_folder(), 1);
}

static void a_place_that_cannot_be_written_or_has_no_room_is_refused(void **state)
{
  const ProductInfo info = {"shard", 2, "", 3};
  ProductWriter *writer = NULL;

  (void)state;
  assert_fails(product_create(PETSC_COMM_WORLD, "/dev/null/a.h5", &info, 0, &writer), NEPHRITE_ERR_IO,
               "/dev/null/a.h5.part: cannot create: Not a directory");
  assert_ok(product_writer_destroy(&writer));
  assert_fails(product_create(PETSC_COMM_WORLD, in_folder("no/a.h5"), &info, 0, &writer), NEPHRITE_ERR_IO,
               "No such file or directory");
  assert_ok(product_writer_destroy(&writer));
  assert_fails(product_create(PETSC_COMM_WORLD, in_folder("a.h5"), &info, INT64_MAX, &writer), NEPHRITE_ERR_IO,
               "MB left");
  assert_ok(product_writer_destroy(&writer));
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_int_equal(files_in_folder(), 0);
  assert_false(product_write_failed()); /* HDF5 was not asked yet */
}

static void another_kind_or_a_newer_format_is_refused(void **state)
{
  ProductReader *reader = NULL;
  const char *path = in_folder("a.h5");

  (void)state;
  make_product(PETSC_COMM_WORLD, path, NULL);
  assert_fails(product_open(path, "checkpoint", 2, &reader), NEPHRITE_ERR_INPUT,
               "is not a checkpoint of nephrite but a shard");
  assert_ok(product_close(&reader));
  assert_fails(product_open(path, "shard", 1, &reader), NEPHRITE_ERR_INPUT,
               "format version 2 of a shard; this build reads up to 1");
  assert_ok(product_close(&reader));
  assert_fails(product_open(in_folder("x.h5"), "shard", 2, &reader), NEPHRITE_ERR_INPUT, "No such file");
  assert_ok(product_close(&reader));
  assert_fails(product_open(NEPHRITE_REFERENCE "/cosmology.h5", "shard", 2, &reader), NEPHRITE_ERR_INPUT,
               "is not a shard of nephrite");
  assert_ok(product_close(&reader));
  assert_fails(product_open_foreign(__FILE__, &reader), NEPHRITE_ERR_INPUT, "test_product.c");
  assert_ok(product_close(&reader));
}

static void datasets_and_rows_that_are_not_there_are_refused(void **state)
{
  ProductReader *reader = NULL;
  double values[PARAMETERS];

  (void)state;
  make_product(PETSC_COMM_WORLD, in_folder("a.h5"), NULL);
  assert_ok(product_open(in_folder("a.h5"), "shard", 2, &reader));
  assert_fails(product_shape(reader, "nothing", NULL, NULL), NEPHRITE_ERR_INPUT, "has no readable dataset nothing");
  assert_fails(product_read(reader, "truth", H5T_NATIVE_DOUBLE, 0, 1, values), NEPHRITE_ERR_INPUT, "truth");
  assert_fails(product_read(reader, "truth/theta", H5T_NATIVE_DOUBLE, ROWS, 1, values), NEPHRITE_ERR_INPUT,
               "dataset truth/theta has 24 rows; rows 24 to 24 are wanted");
  assert_fails(product_read(reader, "truth/theta", H5T_NATIVE_DOUBLE, (hsize_t)-1, 2, values), NEPHRITE_ERR_INPUT,
               "has 24 rows");
  assert_ok(product_close(&reader));
}

static void all_of_a_dataset_is_read_in_the_shape_that_is_wanted_and_in_no_other(void **state)
{
  const hsize_t shape[] = {ROWS, PARAMETERS}, other[] = {PARAMETERS, ROWS};
  ProductReader *reader = NULL;
  double theta[ROWS][PARAMETERS], expected[ROWS][PARAMETERS];
  int64_t step;

  (void)state;
  fill_theta(expected);
  make_product(PETSC_COMM_WORLD, in_folder("a.h5"), NULL);
  assert_ok(product_open(in_folder("a.h5"), "shard", 2, &reader));
  assert_ok(product_read_all(reader, "truth/theta", H5T_NATIVE_DOUBLE, 2, shape, theta));
  assert_memory_equal(theta, expected, sizeof theta);
  assert_ok(product_read_all(reader, "truth-step", H5T_NATIVE_INT64, 0, NULL, &step));
  assert_true(step == 4711);
  assert_fails(product_read_all(reader, "truth/theta", H5T_NATIVE_DOUBLE, 2, other, theta), NEPHRITE_ERR_INPUT,
               "a.h5: dataset truth/theta has shape [24, 3]; it must have [3, 24]");
  assert_fails(product_read_all(reader, "truth/theta", H5T_NATIVE_DOUBLE, 1, shape, theta), NEPHRITE_ERR_INPUT,
               "it must have [24]");
  assert_fails(product_read_all(reader, "truth/theta", H5T_NATIVE_DOUBLE, 0, NULL, theta), NEPHRITE_ERR_INPUT,
               "it must have []");
  assert_ok(product_close(&reader));
}

static void a_file_of_others_is_read_with_the_same_calls(void **state)
{
  ProductReader *reader = NULL;
  hsize_t shape[PRODUCT_MAX_RANK];
  int rank;

  (void)state;
  assert_ok(product_open_foreign(NEPHRITE_REFERENCE "/cosmology.h5", &reader));
  assert_ok(product_shape(reader, "k", &rank, shape));
  double *k = malloc(shape[0] * sizeof *k);
  assert_ok(product_read(reader, "k", H5T_NATIVE_DOUBLE, 0, shape[0], k));
  for (hsize_t i = 1; i < shape[0]; i++) assert_true(k[i] > k[i - 1]);
  free(k);
  assert_ok(product_verify(reader)); /* there is nothing to verify */
  assert_ok(product_close(&reader));
}

static void no_rows_at_all_are_written_and_read(void **state)
{
  const ProductInfo info = {"shard", 2, "", 3};
  ProductWriter *writer = NULL;
  ProductReader *reader = NULL;
  hsize_t shape[PRODUCT_MAX_RANK];
  double nothing;

  (void)state;
  assert_ok(product_create(PETSC_COMM_WORLD, in_folder("a.h5"), &info, 0, &writer));
  assert_ok(product_declare(writer, &(ProductDataset){"none", H5T_NATIVE_DOUBLE, 2, {0, 3}, DIGEST_ROWS, "1", "none"}));
  assert_ok(product_write(writer, "none", 0, 0, &nothing));
  assert_ok(product_declare(writer, &(ProductDataset){"void", H5T_NATIVE_DOUBLE, 1, {0}, DIGEST_WHOLE, "1", "none"}));
  assert_ok(product_commit(writer, NULL));
  assert_ok(product_writer_destroy(&writer));
  assert_ok(product_open(in_folder("a.h5"), "shard", 2, &reader));
  assert_ok(product_shape(reader, "none", NULL, shape));
  assert_true(shape[0] == 0 && shape[1] == 3);
  assert_ok(product_read(reader, "none", H5T_NATIVE_DOUBLE, 0, 0, &nothing));
  assert_ok(product_verify(reader));
  assert_ok(product_close(&reader));
}

/* What HDF5 reads and checks at once. */
static size_t chunk_bytes(const char *path, const char *dataset)
{
  hsize_t chunk[PRODUCT_MAX_RANK];
  const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), opened = H5Dopen2(file, dataset, H5P_DEFAULT);
  const hid_t creation = H5Dget_create_plist(opened), type = H5Dget_type(opened);
  const int rank = H5Pget_chunk(creation, PRODUCT_MAX_RANK, chunk);
  size_t bytes = H5Tget_size(type);

  assert_true(rank > 0);
  for (int axis = 0; axis < rank; axis++) bytes *= chunk[axis];
  H5Tclose(type), H5Pclose(creation), H5Dclose(opened), H5Fclose(file);
  return bytes;
}

/* A row of 72 MB: more than one chunk, and more than one piece on its way to the rank that writes. */
static void a_row_larger_than_a_chunk_is_written_and_read(void **state)
{
  enum { ROW_VALUES = 3 * 6000 * 1000 };
  const ProductInfo info = {"shard", 2, "", 3};
  ProductWriter *writer = NULL;
  ProductReader *reader = NULL;
  PetscMPIInt size;
  float *row = malloc(ROW_VALUES * sizeof *row), *read = calloc(ROW_VALUES, sizeof *read);

  (void)state;
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  for (int i = 0; i < ROW_VALUES; i++) row[i] = (float)i;
  assert_ok(product_create(PETSC_COMM_WORLD, in_folder("a.h5"), &info, 0, &writer));
  assert_ok(product_declare(
      writer, &(ProductDataset){"x", H5T_NATIVE_FLOAT, 4, {1, 3, 6000, 1000}, DIGEST_ROWS, "1", "large"}));
  assert_ok(product_write(writer, "x", 0, world_rank() == size - 1 ? 1 : 0, row));
  assert_ok(product_commit(writer, NULL));
  assert_ok(product_writer_destroy(&writer));
  if (world_rank() == 0) {
    assert_true(chunk_bytes(in_folder("a.h5"), "x") <= (size_t)32 << 20);
    assert_ok(product_open(in_folder("a.h5"), "shard", 2, &reader));
    assert_ok(product_read(reader, "x", H5T_NATIVE_FLOAT, 0, 1, read));
    assert_memory_equal(read, row, ROW_VALUES * sizeof *row);
    assert_ok(product_close(&reader));
  }
  free(row);
  free(read);
}

static ProductWriter *begin_pair(void)
{
  const ProductInfo info = {"shard", 2, "", 3};
  ProductWriter *writer = NULL;

  assert_ok(product_create(PETSC_COMM_WORLD, in_folder("a.h5"), &info, 0, &writer));
  assert_ok(product_declare(writer, &(ProductDataset){"rows", H5T_NATIVE_DOUBLE, 1, {3}, DIGEST_ROWS, "1", "x"}));
  assert_ok(product_declare(writer, &(ProductDataset){"whole", H5T_NATIVE_DOUBLE, 1, {3}, DIGEST_WHOLE, "1", "x"}));
  return writer;
}

static void what_a_product_is_not_to_hold_is_refused(void **state)
{
  const double values[3] = {1, 2, 3};
  ProductWriter *writer;

  (void)state;
  writer = begin_pair();
  assert_fails(product_write(writer, "other", 0, 1, values), NEPHRITE_ERR_INTERNAL, "no dataset other was declared");
  assert_ok(product_writer_destroy(&writer));
  writer = begin_pair(); /* an error of one rank is everyone's */
  assert_fails(product_write(writer, "rows", world_rank() ? 0 : 2, world_rank() ? 0 : 2, values), NEPHRITE_ERR_INTERNAL,
               "rows 2 to 4 are outside of dataset rows");
  assert_ok(product_writer_destroy(&writer));
  writer = begin_pair();
  assert_fails(product_write(writer, "whole", 0, world_rank() ? 0 : 2, values), NEPHRITE_ERR_INTERNAL,
               "one rank writes all of it");
  assert_ok(product_writer_destroy(&writer));
  writer = begin_pair();
  assert_ok(product_write(writer, "whole", 0, world_rank() ? 0 : 3, values));
  assert_ok(product_write(writer, "rows", 0, world_rank() ? 0 : 2, values));
  assert_fails(product_commit(writer, NULL), NEPHRITE_ERR_INTERNAL, "row 2 of dataset rows was not written");
  assert_ok(product_writer_destroy(&writer));
  writer = begin_pair();
  assert_ok(product_write(writer, "whole", 0, world_rank() ? 0 : 3, values));
  assert_ok(product_write(writer, "rows", 0, world_rank() ? 0 : 3, values));
  assert_ok(product_declare(writer, &(ProductDataset){"scalar", H5T_NATIVE_DOUBLE, 0, {0}, DIGEST_WHOLE, "1", "x"}));
  assert_fails(product_commit(writer, NULL), NEPHRITE_ERR_INTERNAL, "dataset scalar was not written");
  assert_ok(product_writer_destroy(&writer));
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_int_equal(files_in_folder(), 0);
}

static const hsize_t joined_rows[] = {ROWS, ROWS};

static void make_join(void)
{
  const ProductInfo info = {"campaign", 1, "", 3};
  const char *const files[] = {"a.h5", "b.h5"};
  ProductWriter *writer = NULL;

  make_product(PETSC_COMM_WORLD, in_folder("a.h5"), NULL);
  make_product(PETSC_COMM_WORLD, in_folder("b.h5"), NULL);
  assert_ok(product_create(PETSC_COMM_WORLD, in_folder("join.h5"), &info, 0, &writer));
  assert_ok(product_declare_virtual(
      writer, &(ProductDataset){"kappa", H5T_NATIVE_FLOAT, 4, {2 * ROWS, BINS, SIDE, SIDE}, DIGEST_ROWS, "1", "maps"},
      2, files, joined_rows));
  assert_ok(product_commit(writer, NULL));
  assert_ok(product_writer_destroy(&writer));
}

static void a_joined_dataset_is_read_from_the_products_it_joins(void **state)
{
  static float kappa[4 * COLUMNS], expected[2 * COLUMNS];
  ProductReader *reader = NULL;
  hsize_t shape[PRODUCT_MAX_RANK];

  (void)state;
  make_join();
  assert_ok(product_open(in_folder("join.h5"), "campaign", 1, &reader));
  assert_ok(product_shape(reader, "kappa", NULL, shape));
  assert_true(shape[0] == 2 * ROWS);
  assert_ok(product_read(reader, "kappa", H5T_NATIVE_FLOAT, ROWS - 2, 4, kappa)); /* across the seam */
  fill_kappa(ROWS - 2, 2, expected);
  assert_memory_equal(kappa, expected, sizeof expected);
  fill_kappa(0, 2, expected);
  assert_memory_equal(kappa + 2 * COLUMNS, expected, sizeof expected);
  assert_ok(product_verify(reader));
  assert_ok(product_close(&reader));
}

static void a_missing_part_of_a_joined_dataset_is_refused_not_zero(void **state)
{
  static float kappa[COLUMNS];
  ProductReader *reader = NULL;

  (void)state;
  make_join();
  MPI_Barrier(PETSC_COMM_WORLD);
  if (world_rank() == 0) unlink(in_folder("b.h5"));
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_ok(product_open(in_folder("join.h5"), "campaign", 1, &reader));
  assert_ok(product_read(reader, "kappa", H5T_NATIVE_FLOAT, ROWS - 1, 1, kappa));
  assert_fails(product_read(reader, "kappa", H5T_NATIVE_FLOAT, ROWS, 1, kappa), NEPHRITE_ERR_INPUT, "b.h5");
  assert_fails(product_verify(reader), NEPHRITE_ERR_INPUT, "b.h5");
  assert_ok(product_close(&reader));
}

/* A user may join files as well; HDF5, which then reads them, gives zeros for one that is not there. */
static void a_join_of_others_is_read_if_all_that_it_joins_is_there(void **state)
{
  static float kappa[COLUMNS], expected[COLUMNS];
  ProductReader *reader = NULL;

  (void)state;
  make_join();
  assert_ok(product_open_foreign(in_folder("join.h5"), &reader));
  assert_ok(product_read(reader, "kappa", H5T_NATIVE_FLOAT, ROWS, 1, kappa));
  fill_kappa(0, 1, expected);
  assert_memory_equal(kappa, expected, sizeof kappa);
  assert_ok(product_close(&reader));
  MPI_Barrier(PETSC_COMM_WORLD);
  if (world_rank() == 0) rename(in_folder("join.h5"), in_folder("b.h5")); /* which joins itself now */
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_ok(product_open_foreign(in_folder("b.h5"), &reader));
  assert_fails(product_shape(reader, "kappa", NULL, NULL), NEPHRITE_ERR_INPUT, "joins others itself");
  assert_ok(product_close(&reader));
  MPI_Barrier(PETSC_COMM_WORLD);
  if (world_rank() == 0) unlink(in_folder("a.h5"));
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_ok(product_open_foreign(in_folder("b.h5"), &reader));
  assert_fails(product_shape(reader, "kappa", NULL, NULL), NEPHRITE_ERR_INPUT, "a.h5");
  assert_ok(product_close(&reader));
}

NEPHRITE_TEST_MAIN(FOLDER_TEST(what_was_written_is_read_back), FOLDER_TEST(attributes_are_read_back),
                   FOLDER_TEST(equal_content_is_an_equal_file_whatever_the_number_of_ranks),
                   FOLDER_TEST(the_digest_read_is_the_one_written_and_belongs_to_the_content),
                   FOLDER_TEST(nothing_bears_the_name_before_it_is_whole),
                   FOLDER_TEST(a_place_that_cannot_be_written_or_has_no_room_is_refused),
                   FOLDER_TEST(another_kind_or_a_newer_format_is_refused),
                   FOLDER_TEST(datasets_and_rows_that_are_not_there_are_refused),
                   FOLDER_TEST(all_of_a_dataset_is_read_in_the_shape_that_is_wanted_and_in_no_other),
                   FOLDER_TEST(a_file_of_others_is_read_with_the_same_calls),
                   FOLDER_TEST(no_rows_at_all_are_written_and_read),
                   FOLDER_TEST(a_row_larger_than_a_chunk_is_written_and_read),
                   FOLDER_TEST(what_a_product_is_not_to_hold_is_refused),
                   FOLDER_TEST(a_joined_dataset_is_read_from_the_products_it_joins),
                   FOLDER_TEST(a_missing_part_of_a_joined_dataset_is_refused_not_zero),
                   FOLDER_TEST(a_join_of_others_is_read_if_all_that_it_joins_is_there))
