#include "product_fixture.h"

static int begin(void **state)
{
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/nephrite-contents-XXXXXX");
  return mkdtemp(folder) ? 0 : 1;
}

static int end(void **state)
{
  (void)state;
  unlink(in_folder("a.h5"));
  return rmdir(folder);
}

/* A file as others make them. */
static void make_file(const char *const *names, const hid_t *types, int count)
{
  const hid_t file = H5Fcreate(in_folder("a.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t links = H5Pcreate(H5P_LINK_CREATE), space = H5Screate(H5S_SCALAR);

  H5Pset_create_intermediate_group(links, 1);
  for (int i = 0; i < count; i++) {
    const hid_t dataset = H5Dcreate2(file, names[i], types[i], space, links, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Dclose(dataset);
  }
  H5Aclose(H5Acreate2(file, "depth", H5T_NATIVE_INT, space, H5P_DEFAULT, H5P_DEFAULT));
  H5Sclose(space), H5Pclose(links), H5Fclose(file);
}

static void types_are_told_as_they_are_stored(void **state)
{
  static const char *const expected[] = {"float32", "float64", "float16", "int64", "uint8", "text", "enumeration"};
  const hid_t half = H5Tcopy(H5T_IEEE_F32BE), text = H5Tcopy(H5T_C_S1), flag = H5Tenum_create(H5T_NATIVE_INT8);
  const signed char no = 0;
  ProductReader *reader = NULL;

  (void)state;
  H5Tset_fields(half, 15, 10, 5, 0, 10);
  H5Tset_size(half, 2);
  H5Tenum_insert(flag, "no", &no);
  make_file(expected, (const hid_t[]){H5T_IEEE_F32BE, H5T_IEEE_F64LE, half, H5T_STD_I64BE, H5T_STD_U8LE, text, flag},
            7);
  assert_ok(product_open_foreign(in_folder("a.h5"), &reader));
  for (int i = 0; i < 7; i++) {
    char type[32];

    assert_ok(product_type(reader, expected[i], type, sizeof type));
    assert_string_equal(type, expected[i]);
  }
  char type[32];
  assert_fails(product_type(reader, "bits", type, sizeof type), NEPHRITE_ERR_INPUT, "has no readable dataset bits");
  assert_ok(product_close(&reader));
  H5Tclose(half), H5Tclose(text), H5Tclose(flag);
}

/* What has been visited, and where to stop. */
typedef struct {
  char names[128];
  const char *last;
} Visited;

static PetscErrorCode visit(void *context, const char *name)
{
  Visited *visited = context;

  PetscFunctionBeginUser;
  snprintf(visited->names + strlen(visited->names), sizeof visited->names - strlen(visited->names), "%s ", name);
  PetscCheck(!visited->last || strcmp(name, visited->last), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "stops at %s", name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void every_dataset_but_digests_is_visited_in_order_until_an_error(void **state)
{
  static const char *const names[] = {"z", "group/b", "digest/z", "group/a", "digests", "a"};
  const hid_t type = H5T_NATIVE_FLOAT;
  Visited all = {.last = NULL}, some = {.last = "group/a"};
  ProductReader *reader = NULL;

  (void)state;
  make_file(names, (const hid_t[]){type, type, type, type, type, type}, 6);
  assert_ok(product_open_foreign(in_folder("a.h5"), &reader));
  assert_ok(product_each_dataset(reader, visit, &all));
  assert_string_equal(all.names, "a digests group/a group/b z ");
  assert_fails(product_each_dataset(reader, visit, &some), NEPHRITE_ERR_INPUT, "stops at group/a");
  assert_string_equal(some.names, "a digests group/a ");
  assert_ok(product_close(&reader));
}

static void attributes_are_there_or_not(void **state)
{
  const char *const name = "group/a";
  const hid_t type = H5T_NATIVE_FLOAT;
  ProductReader *reader = NULL;
  PetscBool has;

  (void)state;
  make_file(&name, &type, 1);
  assert_ok(product_open_foreign(in_folder("a.h5"), &reader));
  assert_ok(product_has_attribute(reader, NULL, "depth", &has));
  assert_true(has);
  assert_ok(product_has_attribute(reader, NULL, "width", &has));
  assert_false(has);
  assert_ok(product_has_attribute(reader, "group/a", "depth", &has));
  assert_false(has);
  assert_ok(product_has_attribute(reader, "nothing", "depth", &has));
  assert_false(has);
  assert_ok(product_close(&reader));
}

static void a_shape_in_words_never_overruns_its_place(void **state)
{
  const hsize_t shape[] = {5, 2, 128, 128};
  char text[32], narrow[8];

  (void)state;
  product_shape_text(4, shape, text, sizeof text);
  assert_string_equal(text, "[5, 2, 128, 128]");
  product_shape_text(0, shape, text, sizeof text);
  assert_string_equal(text, "[]");
  product_shape_text(4, shape, narrow, sizeof narrow);
  assert_string_equal(narrow, "[5, 2, ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
NEPHRITE_TEST_MAIN(TEST(types_are_told_as_they_are_stored),
                   TEST(every_dataset_but_digests_is_visited_in_order_until_an_error),
                   TEST(attributes_are_there_or_not), cmocka_unit_test(a_shape_in_words_never_overruns_its_place))
