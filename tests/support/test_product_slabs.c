/* nephrite-test: mpi */
#include "product_fixture.h"

static const ProductInfo info = {"shard", 2, "", 3};

static PetscMPIInt world(int (*ask)(MPI_Comm, int *))
{
  PetscMPIInt answer;

  ask(PETSC_COMM_WORLD, &answer);
  return answer;
}

/* Lines of this rank: none on the second of several, as FFTW may have it. */
static void divide(hsize_t lines, hsize_t *first, hsize_t *count)
{
  const hsize_t rank = (hsize_t)world(MPI_Comm_rank), size = (hsize_t)world(MPI_Comm_size),
                shares = size > 1 ? size - 1 : 1;
  const hsize_t share = rank > 1 ? rank - 1 : 0;

  *first = lines * share / shares;
  *count = rank == 1 ? 0 : lines * (share + 1) / shares - *first;
}

static float value_at(const hsize_t *shape, hsize_t row, hsize_t plane, hsize_t line, hsize_t x)
{
  return (float)(((row * shape[1] + plane) * shape[2] + line) * shape[3] + x) * 0.5f;
}

/* This rank's lines of a row.  \returns free it */
static float *make_slab(const hsize_t *shape, hsize_t row, hsize_t first, hsize_t lines)
{
  float *slab = malloc((shape[1] * lines * shape[3] + 1) * sizeof *slab);
  size_t at = 0;

  assert_non_null(slab);
  for (hsize_t plane = 0; plane < shape[1]; plane++)
    for (hsize_t line = first; line < first + lines; line++)
      for (hsize_t x = 0; x < shape[3]; x++) slab[at++] = value_at(shape, row, plane, line, x);
  return slab;
}

static ProductDataset maps(const hsize_t shape[4])
{
  return (ProductDataset){"maps", H5T_NATIVE_FLOAT, 4, {shape[0], shape[1], shape[2], shape[3]}, DIGEST_ROWS, "1", "x"};
}

static uint64_t write_in_slabs(const char *path, const hsize_t shape[4], int compression)
{
  const ProductDataset dataset = maps(shape);
  ProductWriter *writer = NULL;
  hsize_t first, lines;
  uint64_t digest;

  divide(shape[2], &first, &lines);
  assert_ok(product_create(PETSC_COMM_WORLD, path, &info, 0, &writer));
  assert_ok(product_declare_compressed(writer, &dataset, compression));
  for (hsize_t row = 0; row < shape[0]; row++) {
    float *slab = make_slab(shape, row, first, lines);

    assert_ok(product_write_slabs(writer, "maps", row, lines, slab));
    free(slab);
  }
  assert_ok(product_commit(writer, &digest));
  assert_ok(product_writer_destroy(&writer));
  return digest;
}

/* All by one rank. */
static uint64_t write_whole(const char *path, const hsize_t shape[4], int compression)
{
  const ProductDataset dataset = maps(shape);
  ProductWriter *writer = NULL;
  uint64_t digest = 0;

  if (world(MPI_Comm_rank) == 0) {
    assert_ok(product_create(PETSC_COMM_SELF, path, &info, 0, &writer));
    assert_ok(product_declare_compressed(writer, &dataset, compression));
    for (hsize_t row = 0; row < shape[0]; row++) {
      float *map = make_slab(shape, row, 0, shape[2]);

      assert_ok(product_write(writer, "maps", row, 1, map));
      free(map);
    }
    assert_ok(product_commit(writer, &digest));
    assert_ok(product_writer_destroy(&writer));
  }
  MPI_Bcast(&digest, 1, MPI_UINT64_T, 0, PETSC_COMM_WORLD);
  return digest;
}

static size_t assert_same_file(const char *a, const char *b)
{
  size_t size_a, size_b;
  char *content_a = load_file(a, &size_a), *content_b = load_file(b, &size_b);

  assert_int_equal(size_a, size_b);
  assert_memory_equal(content_a, content_b, size_a);
  free(content_a);
  free(content_b);
  return size_a;
}

static void verify(const char *path)
{
  ProductReader *reader = NULL;

  assert_ok(product_open(path, "shard", 2, &reader));
  assert_ok(product_verify(reader));
  assert_ok(product_close(&reader));
}

static size_t check(const hsize_t shape[4], int compression)
{
  const uint64_t in_slabs = write_in_slabs(in_folder("slabs.h5"), shape, compression);

  assert_true(in_slabs == write_whole(in_folder("whole.h5"), shape, compression));
  MPI_Barrier(PETSC_COMM_WORLD);
  const size_t size = assert_same_file(in_folder("slabs.h5"), in_folder("whole.h5"));
  if (world(MPI_Comm_rank) == 0) verify(in_folder("slabs.h5"));
  MPI_Barrier(PETSC_COMM_WORLD);
  return size;
}

static void rows_in_slabs_make_the_file_of_whole_rows(void **state)
{
  (void)state;
  check((const hsize_t[]){7, 3, 10, 12}, 0); /* several rows in a chunk */
  check((const hsize_t[]){2, 3, 64, 80}, 0); /* one */
  check((const hsize_t[]){2, 1, 1, 12}, 0); /* a line that one rank has */
}

static hid_t creation_of(const char *path)
{
  const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, "maps", H5P_DEFAULT);
  const hid_t creation = H5Dget_create_plist(dataset);

  H5Dclose(dataset);
  H5Fclose(file);
  return creation;
}

static void assert_chunk(const hsize_t expected[4])
{
  hsize_t chunk[4];
  const hid_t creation = creation_of(in_folder("slabs.h5"));

  assert_int_equal(H5Pget_chunk(creation, 4, chunk), 4);
  assert_memory_equal(chunk, expected, sizeof chunk);
  H5Pclose(creation);
  MPI_Barrier(PETSC_COMM_WORLD);
}

/* At most 32 MiB, and one stretch of the row: what the writer holds of it. */
static void a_row_larger_than_a_chunk_is_divided_into_stretches(void **state)
{
  (void)state;
  check((const hsize_t[]){1, 2, 9000, 1000}, 0); /* planes of 36 MB */
  assert_chunk((const hsize_t[]){1, 1, 4500, 1000});
  check((const hsize_t[]){1, 4, 3000, 1000}, 0); /* of 12 MB, two of which make a chunk */
  assert_chunk((const hsize_t[]){1, 2, 3000, 1000});
  check((const hsize_t[]){1, 3, 3000, 1000}, 0); /* chunks of two would waste a fourth of the disk */
  assert_chunk((const hsize_t[]){1, 1, 3000, 1000});
}

static void compressed_rows_have_the_same_digests_in_fewer_bytes(void **state)
{
  const hsize_t shape[4] = {3, 3, 64, 80};

  (void)state;
  const uint64_t plain = write_in_slabs(in_folder("plain.h5"), shape, 0);
  assert_true(write_in_slabs(in_folder("deflated.h5"), shape, 4) == plain);
  if (world(MPI_Comm_rank) == 0) verify(in_folder("deflated.h5"));
  const size_t size = check(shape, 0), deflated = check(shape, 4);
  assert_true(deflated < size / 2); /* of numbers that count up */
  const hid_t creation = creation_of(in_folder("deflated.h5"));
  assert_int_equal(H5Pget_nfilters(creation), 3);
  const H5Z_filter_t order[3] = {H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE, H5Z_FILTER_FLETCHER32};
  for (unsigned i = 0; i < 3; i++) {
    size_t parameters = 0;
    unsigned flags, info_flags;

    assert_int_equal(H5Pget_filter2(creation, i, &flags, &parameters, NULL, 0, NULL, &info_flags), order[i]);
  }
  H5Pclose(creation);
}

static ProductWriter *begin_refusals(void)
{
  const ProductDataset dataset = maps((const hsize_t[]){2, 3, 8, 4});
  ProductWriter *writer = NULL;

  assert_ok(product_create(PETSC_COMM_WORLD, in_folder("a.h5"), &info, 0, &writer));
  assert_ok(product_declare(writer, &dataset));
  assert_ok(product_declare(writer, &(ProductDataset){"flat", H5T_NATIVE_FLOAT, 2, {2, 3}, DIGEST_ROWS, "1", "x"}));
  return writer;
}

static void slabs_that_make_no_row_are_refused(void **state)
{
  float slab[3 * 8 * 4] = {0};
  ProductWriter *writer = begin_refusals();

  (void)state;
  assert_fails(product_write_slabs(writer, "maps", 0, world(MPI_Comm_rank) ? 0 : 7, slab), NEPHRITE_ERR_INTERNAL,
               "the ranks have 7 of the 8 lines of dataset maps");
  assert_ok(product_writer_destroy(&writer));
  writer = begin_refusals();
  assert_fails(product_write_slabs(writer, "maps", 2, 0, slab), NEPHRITE_ERR_INTERNAL, "outside of dataset maps");
  assert_ok(product_writer_destroy(&writer));
  writer = begin_refusals();
  assert_fails(product_write_slabs(writer, "flat", 0, 0, slab), NEPHRITE_ERR_INTERNAL,
               "dataset flat has no rows that can be divided");
  assert_ok(product_writer_destroy(&writer));
}

NEPHRITE_TEST_MAIN(FOLDER_TEST(rows_in_slabs_make_the_file_of_whole_rows),
                   FOLDER_TEST(a_row_larger_than_a_chunk_is_divided_into_stretches),
                   FOLDER_TEST(compressed_rows_have_the_same_digests_in_fewer_bytes),
                   FOLDER_TEST(slabs_that_make_no_row_are_refused))
