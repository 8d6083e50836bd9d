#include "product_fixture.h"
#include "support/internal.h"

static char *sound;
static size_t sound_size;

static int begin(void **state)
{
  if (begin_folder(state)) return -1;
  make_product(PETSC_COMM_SELF, in_folder("sound.h5"), NULL);
  sound = load_file(in_folder("sound.h5"), &sound_size);
  return 0;
}

static int end(void **state)
{
  free(sound);
  return end_folder(state);
}

/* Everything a program may ask of a product.  What is read without an error must be what was written. */
static PetscErrorCode read_everything(const char *path)
{
  static float kappa[ROWS * COLUMNS], expected[ROWS * COLUMNS];
  double theta[ROWS][PARAMETERS], expected_theta[ROWS][PARAMETERS], small[ROWS], std[3];
  ProductReader *reader = NULL;
  char *text = NULL;
  int64_t step, seed;
  uint64_t digest;

  fill_kappa(0, ROWS, expected);
  fill_theta(expected_theta);
  PetscErrorCode error = product_open(path, "shard", 2, &reader);
  if (!error) error = product_read(reader, "kappa", H5T_NATIVE_FLOAT, 0, ROWS, kappa);
  if (!error) assert_memory_equal(kappa, expected, sizeof expected);
  if (!error) error = product_read(reader, "truth/theta", H5T_NATIVE_DOUBLE, 0, ROWS, theta);
  if (!error) assert_memory_equal(theta, expected_theta, sizeof theta);
  if (!error) error = product_read(reader, "truth-step", H5T_NATIVE_INT64, 0, 1, &step);
  if (!error) assert_true(step == 4711);
  if (!error) error = product_read(reader, "small", H5T_NATIVE_DOUBLE, 0, ROWS, small);
  for (int i = 0; i < ROWS && !error; i++) assert_true(small[i] == i);
  if (!error) error = product_read_attribute_text(reader, NULL, "configuration", &text);
  if (!error) assert_string_equal(text, "seed: 3\nsurvey:\n  bins: 2\n");
  PetscFree(text);
  if (!error) error = product_read_attribute_real(reader, NULL, "map_std", 3, std);
  if (!error) assert_true(std[0] == 0.5 && std[1] == -1.5 && std[2] == 3);
  if (!error) error = product_read_attribute_int(reader, NULL, "seed", 1, &seed);
  if (!error) assert_true(seed == 3);
  if (!error) error = product_digest(reader, &digest);
  if (!error) error = product_verify(reader);
  product_close(&reader);
  return error;
}

/* Refused as damaged input, by the file's name: anything else is a fault of the reader. */
static void expect_sound_refusal(PetscErrorCode error, const char *path)
{
  if (error != (PetscErrorCode)NEPHRITE_ERR_INPUT) fail_msg("error %d: %s", (int)error, error_message());
  if (!strstr(error_message(), path)) fail_msg("message \"%s\" does not name the file", error_message());
}

static void a_changed_byte_is_refused_or_harmless(void **state)
{
  enum { FLIPS = 1500 };
  const RandomKey key = {.seed = 11, .stream = STREAM_ORDER};
  const char *path = in_folder("flipped.h5");
  int refused = 0;

  (void)state;
  for (uint64_t i = 0; i < FLIPS; i++) {
    /* Half of the flips in the first 8 KiB and the last 16 KiB, where the metadata are. */
    const uint64_t place = random_bits(key, 2 * i);
    const size_t head = 8192, tail = 16384;
    const size_t edge = place % (head + tail);
    const size_t at = i % 2 ? place % sound_size : edge < head ? edge : sound_size - tail + (edge - head);
    const char change = (char)(1 + random_bits(key, 2 * i + 1) % 255);

    sound[at] = (char)(sound[at] ^ change);
    save_file(path, sound, sound_size);
    sound[at] = (char)(sound[at] ^ change);
    const PetscErrorCode error = read_everything(path);
    if (error) expect_sound_refusal(error, path);
    refused += error ? 1 : 0;
  }
  assert_true(refused > FLIPS / 4); /* the others hit bytes that nothing uses: a fifth of the file is reserved room */
}

static void a_truncated_file_is_refused(void **state)
{
  enum { CUTS = 200 };
  const RandomKey key = {.seed = 12, .stream = STREAM_ORDER};
  const char *path = in_folder("cut.h5");

  (void)state;
  for (uint64_t i = 0; i < CUTS; i++) {
    const size_t size = i == 0 ? 0 : i == 1 ? sound_size - 1 : random_bits(key, i) % sound_size;

    save_file(path, sound, size);
    expect_sound_refusal(read_everything(path), path);
  }
}

enum { CHUNK_ROWS = 2 }; /* of 7,200 bytes: two in 16 KiB */

/* Where the bytes of a chunk are in the file. */
static size_t find_rows(hsize_t first)
{
  static float kappa[CHUNK_ROWS * COLUMNS];
  size_t found = sound_size;
  int times = 0;

  fill_kappa(first, CHUNK_ROWS, kappa);
  for (size_t at = 0; at + sizeof kappa <= sound_size; at++)
    if (!memcmp(sound + at, kappa, sizeof kappa)) found = at, times++;
  assert_int_equal(times, 1);
  return found;
}

static void a_sound_row_in_the_place_of_another_is_refused(void **state)
{
  enum { CHUNK_BYTES = CHUNK_ROWS * COLUMNS * 4 + 4 }; /* with its Fletcher32, so that HDF5 sees nothing wrong */
  static char first[CHUNK_BYTES];
  static float kappa[CHUNK_ROWS * COLUMNS];
  const char *path = in_folder("swapped.h5");
  ProductReader *reader = NULL;
  char *a = sound + find_rows(4), *b = sound + find_rows(16);

  (void)state;
  memcpy(first, a, CHUNK_BYTES);
  memcpy(a, b, CHUNK_BYTES);
  memcpy(b, first, CHUNK_BYTES);
  save_file(path, sound, sound_size);
  assert_ok(product_open(path, "shard", 2, &reader));
  assert_ok(product_read(reader, "kappa", H5T_NATIVE_FLOAT, 3, 1, kappa));
  assert_fails(product_read(reader, "kappa", H5T_NATIVE_FLOAT, 3, 2, kappa), NEPHRITE_ERR_INPUT,
               "row 4 of dataset kappa does not match its digest: the file is damaged");
  assert_fails(product_read(reader, "kappa", H5T_NATIVE_FLOAT, 17, 1, kappa), NEPHRITE_ERR_INPUT,
               "row 17 of dataset kappa");
  assert_fails(product_verify(reader), NEPHRITE_ERR_INPUT, "row 4 of dataset kappa");
  assert_ok(product_read(reader, "kappa", H5T_NATIVE_FLOAT, 6, 1, kappa)); /* a bad row spoils no other */
  assert_ok(product_close(&reader));
}

static void a_changed_value_is_refused_by_file_dataset_and_row(void **state)
{
  static float kappa[COLUMNS];
  const char *path = in_folder("changed.h5");
  ProductReader *reader = NULL;

  (void)state;
  sound[find_rows(4) + 100] ^= 1;
  save_file(path, sound, sound_size);
  assert_ok(product_open(path, "shard", 2, &reader));
  assert_fails(product_read(reader, "kappa", H5T_NATIVE_FLOAT, 5, 1, kappa), NEPHRITE_ERR_INPUT,
               "changed.h5: dataset kappa, rows 5 to 5: HDF5 says \"data error detected by Fletcher32 checksum\"");
  assert_ok(product_close(&reader));
}

static void put(hid_t file, const char *name, hid_t type, const void *values)
{
  const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);

  assert_true(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  H5Dclose(dataset);
}

/* As if the dataset were another product's: every row is what its digest says. */
static void exchange_dataset(const char *path)
{
  const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  double small[ROWS];
  uint64_t digest[ROWS];

  for (uint64_t i = 0; i < ROWS; i++) {
    small[i] = (double)i + 1;
    digest[i] = product_row_digest("small", i, &small[i], sizeof small[i]);
  }
  put(file, "small", H5T_NATIVE_DOUBLE, small);
  put(file, "digest/small", H5T_NATIVE_UINT64, digest);
  H5Fclose(file);
}

static void a_dataset_of_another_product_is_refused(void **state)
{
  const char *path = in_folder("mixed.h5");
  ProductReader *reader = NULL;
  double small[ROWS];

  (void)state;
  save_file(path, sound, sound_size);
  assert_ok(product_open(path, "shard", 2, &reader));
  assert_ok(product_check(reader));
  assert_ok(product_close(&reader));
  exchange_dataset(path);
  assert_ok(product_open(path, "shard", 2, &reader));
  assert_ok(product_read(reader, "small", H5T_NATIVE_DOUBLE, 0, ROWS, small));
  assert_fails(product_check(reader), NEPHRITE_ERR_INPUT, "mixed.h5: its datasets do not belong together");
  assert_fails(product_verify(reader), NEPHRITE_ERR_INPUT, "do not belong together");
  assert_ok(product_close(&reader));
}

/* Attributes as other programs write them: lists of texts, of fixed and of variable length, must not overrun anything.
 */
static void make_foreign(const char *path)
{
  const hsize_t three = 3;
  const char *const words[] = {"one", "two", "three"};
  const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t list = H5Screate_simple(1, &three, NULL), one = H5Screate(H5S_SCALAR);
  const hid_t fixed = H5Tcopy(H5T_C_S1), variable = H5Tcopy(H5T_C_S1);

  H5Tset_size(fixed, 8);
  H5Tset_size(variable, H5T_VARIABLE);
  const hid_t attributes[] = {H5Acreate2(file, "fixed_list", fixed, list, H5P_DEFAULT, H5P_DEFAULT),
                              H5Acreate2(file, "variable_list", variable, list, H5P_DEFAULT, H5P_DEFAULT),
                              H5Acreate2(file, "variable", variable, one, H5P_DEFAULT, H5P_DEFAULT)};
  H5Awrite(attributes[0], fixed, "one\0\0\0\0\0two\0\0\0\0\0three\0\0");
  H5Awrite(attributes[1], variable, words);
  H5Awrite(attributes[2], variable, words);
  for (int i = 0; i < 3; i++) H5Aclose(attributes[i]);
  H5Sclose(list), H5Sclose(one), H5Tclose(fixed), H5Tclose(variable), H5Fclose(file);
}

static void texts_of_others_are_read_or_refused(void **state)
{
  ProductReader *reader = NULL;
  char *text = NULL;

  (void)state;
  make_foreign(in_folder("foreign.h5"));
  assert_ok(product_open_foreign(in_folder("foreign.h5"), &reader));
  assert_ok(product_read_attribute_text(reader, NULL, "variable", &text));
  assert_string_equal(text, "one");
  assert_ok(PetscFree(text));
  assert_fails(product_read_attribute_text(reader, NULL, "fixed_list", &text), NEPHRITE_ERR_INPUT, "is not one text");
  assert_fails(product_read_attribute_text(reader, NULL, "variable_list", &text), NEPHRITE_ERR_INPUT,
               "is not one text");
  assert_ok(product_close(&reader));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
NEPHRITE_TEST_MAIN(TEST(a_changed_byte_is_refused_or_harmless), TEST(a_truncated_file_is_refused),
                   TEST(a_sound_row_in_the_place_of_another_is_refused),
                   TEST(a_changed_value_is_refused_by_file_dataset_and_row),
                   TEST(a_dataset_of_another_product_is_refused), TEST(texts_of_others_are_read_or_refused))
