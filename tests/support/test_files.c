#include "nephrite/support.h"
#include "nephrite_test.h"

#include <stdlib.h>
#include <unistd.h>

static uint64_t digest_of(const char *path, uint64_t before)
{
  uint64_t digest = before;

  assert_ok(file_digest(path, &digest));
  return digest;
}

static void a_digest_is_of_every_byte_and_of_what_came_before(void **state)
{
  char path[] = "/tmp/nephrite-files-XXXXXX", content[40000] = {0}; /* more than a block */
  const int file = mkstemp(path);

  (void)state;
  assert_true(file >= 0);
  assert_int_equal(write(file, content, sizeof content), sizeof content);
  const uint64_t digest = digest_of(path, 0);
  assert_true(digest == digest_of(path, 0));
  assert_true(digest != digest_of(path, 1));
  assert_int_equal(pwrite(file, "1", 1, sizeof content - 1), 1);
  assert_true(digest != digest_of(path, 0));
  close(file);
  unlink(path);
}

static void a_file_that_cannot_be_read_is_refused_by_name(void **state)
{
  uint64_t digest = 0;

  (void)state;
  assert_fails(file_digest("/no/such/file", &digest), NEPHRITE_ERR_INPUT, "/no/such/file: cannot be read: No such");
  assert_fails(file_digest("/tmp", &digest), NEPHRITE_ERR_INPUT, "/tmp: cannot be read: Is a directory");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_digest_is_of_every_byte_and_of_what_came_before),
                   cmocka_unit_test(a_file_that_cannot_be_read_is_refused_by_name))
