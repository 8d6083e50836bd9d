#include "nephrite_test.h"

#include <stdlib.h>
#include <unistd.h>

/* Standard output goes to a file while \p run works; what it printed is returned. */
static const char *printed_by(void (*run)(void))
{
  static char text[1024];
  FILE *file = tmpfile();
  const int screen = dup(STDOUT_FILENO);

  assert_non_null(file);
  fflush(stdout);
  dup2(fileno(file), STDOUT_FILENO);
  run();
  fflush(stdout);
  dup2(screen, STDOUT_FILENO);
  close(screen);
  rewind(file);
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  return text;
}

static void work_briefly(void)
{
  Progress *progress = NULL;

  assert_ok(progress_create(PETSC_COMM_SELF, "simulate", "maps", 4096, 96, &progress));
  for (int64_t done = 97; done < 600; done++) assert_ok(progress_update(progress, done, NULL));
  assert_ok(progress_finish(progress, 4096));
  assert_ok(progress_destroy(&progress));
  assert_null(progress);
  assert_ok(progress_destroy(&progress));
}

static void a_short_task_has_one_closing_line(void **state)
{
  const char *text;
  double rate;
  int minutes, seconds, end = 0;

  (void)state;
  text = printed_by(work_briefly);
  assert_int_equal(sscanf(text, "simulate  4096/4096 maps  in %d:%2d, %lf maps/s%n", &minutes, &seconds, &rate, &end),
                   3);
  assert_true(end > 0 && text[end] == '\n' && text[end + 1] == '\0');
  assert_true(rate > 0);
}

static void work_for_a_while(void)
{
  Progress *progress = NULL;

  assert_ok(progress_create(PETSC_COMM_SELF, "train", "steps", 100, 50, &progress));
  sleep(3); /* longer than the time without a line */
  assert_ok(progress_update(progress, 75, "loss 0.5"));
  assert_ok(progress_update(progress, 76, "loss 0.4")); /* too soon for another line */
  assert_ok(progress_destroy(&progress));
}

static void a_line_tells_how_far_how_fast_and_how_long_still(void **state)
{
  const char *text;
  double rate;
  int minutes, seconds, end = 0;

  (void)state;
  text = printed_by(work_for_a_while);
  assert_int_equal(sscanf(text, "train     75/100 steps   75%%  %lf steps/s  left %d:%2d  loss 0.5%n", &rate, &minutes,
                          &seconds, &end),
                   3);
  assert_true(end > 0 && text[end] == '\n' && text[end + 1] == '\0');
  /* 25 done, 25 to do: the time left is the time it took, of which rate knows. */
  assert_within(60 * minutes + seconds, 25 / rate, 1);
}

static void work_on_nothing(void)
{
  Progress *progress = NULL;

  assert_ok(progress_create(PETSC_COMM_SELF, "infer", "draws", 0, 0, &progress));
  assert_ok(progress_finish(progress, 0));
  assert_ok(progress_destroy(&progress));
}

static void nothing_to_do_is_done_at_once(void **state)
{
  (void)state;
  assert_non_null(strstr(printed_by(work_on_nothing), "infer     0/0 draws  in 0:00, 0 draws/s\n"));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_short_task_has_one_closing_line),
                   cmocka_unit_test(a_line_tells_how_far_how_fast_and_how_long_still),
                   cmocka_unit_test(nothing_to_do_is_done_at_once))
