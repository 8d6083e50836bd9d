/** What every cmocka test file includes: cmocka in the order it wants, and assertions on PetscErrorCode and doubles. */
#ifndef NEPHRITE_TEST_H
#define NEPHRITE_TEST_H

#include "nephrite/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/** The call succeeds; a failure shows nephrite's own message. */
#define assert_ok(call)                                                                                                \
  do {                                                                                                                 \
    const PetscErrorCode assert_ok_error_ = (call);                                                                    \
    if (assert_ok_error_) fail_msg("%s: error %d: %s", #call, (int)assert_ok_error_, error_message());                 \
  } while (0)

/** The call fails with this class, and its message contains this text. */
#define assert_fails(call, error_class, text)                                                                          \
  do {                                                                                                                 \
    const PetscErrorCode assert_fails_error_ = (call);                                                                 \
    if (assert_fails_error_ != (PetscErrorCode)(error_class))                                                          \
      fail_msg("%s: error %d instead of %d: %s", #call, (int)assert_fails_error_, (int)(error_class),                  \
               error_message());                                                                                       \
    if (!strstr(error_message(), text)) fail_msg("%s: message \"%s\" lacks \"%s\"", #call, error_message(), text);     \
  } while (0)

/** |a - b| <= tolerance max(|b|, 1e-300), relative. */
#define assert_close(a, b, tolerance)                                                                                  \
  do {                                                                                                                 \
    const double close_a_ = (a), close_b_ = (b);                                                                       \
    if (!(fabs(close_a_ - close_b_) <= (tolerance)*fmax(fabs(close_b_), 1e-300)))                                      \
      fail_msg("%s = %.17g, %s = %.17g: relative error %.3g over %.3g", #a, close_a_, #b, close_b_,                    \
               fabs(close_a_ / close_b_ - 1), (double)(tolerance));                                                    \
  } while (0)

/** |a - b| <= tolerance, absolute. */
#define assert_within(a, b, tolerance)                                                                                 \
  do {                                                                                                                 \
    const double within_a_ = (a), within_b_ = (b);                                                                     \
    if (!(fabs(within_a_ - within_b_) <= (tolerance)))                                                                 \
      fail_msg("%s = %.17g, %s = %.17g: difference %.3g over %.3g", #a, within_a_, #b, within_b_,                      \
               fabs(within_a_ - within_b_), (double)(tolerance));                                                      \
  } while (0)

/** main() of a test program: PETSc and MPI up, nephrite's error record installed, the group run, all down again. */
#define NEPHRITE_TEST_MAIN(...)                                                                                        \
  int main(int argc, char **argv)                                                                                      \
  {                                                                                                                    \
    const struct CMUnitTest tests[] = {__VA_ARGS__};                                                                   \
    if (PetscInitialize(&argc, &argv, NULL, NULL) || error_install()) return 70;                                       \
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);                                                      \
    return PetscFinalize() || failed;                                                                                  \
  }

#endif
