#include "nephrite/campaign.h"
#include "nephrite_test.h"

static PetscErrorCode read_limit(const char *text, double *seconds)
{
  CampaignConfig campaign = {0};

  assert_true(strlen(text) < sizeof campaign.time_limit);
  memcpy(campaign.time_limit, text, strlen(text));
  return campaign_time_limit(&campaign, seconds);
}

static void a_time_limit_is_read_as_seconds_or_as_hours_minutes_and_seconds(void **state)
{
  static const struct {
    const char *text;
    double seconds;
  } limits[] = {
      {"", 0}, {"90", 90}, {"00:01:30", 90}, {"4:00:00", 14400}, {"100:00:01", 360001}, {"2-03:04:05", 183845}};
  double seconds;

  (void)state;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    assert_ok(read_limit(limits[i].text, &seconds));
    assert_true(seconds == limits[i].seconds);
  }
}

static void a_time_limit_that_is_none_is_refused(void **state)
{
  /* Minutes and seconds, or hours and minutes?  Schedulers differ. */
  static const char *const texts[] = {"4:00", "0",  "-5",         "1:60:00",   "1:00:60", "4h",      "1:00:00:00",
                                      "1-2",  "1-", "0:00:00",    "12:00:00 ", ":10:00",  "1e3",     "1--2:00:00",
                                      "soon", ":",  "9999999999", "1:00:00-1", "10:",     "00:10:0x"};
  double seconds;

  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    assert_fails(read_limit(texts[i], &seconds), NEPHRITE_ERR_CONFIG, "[days-]hours:minutes:seconds");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_time_limit_is_read_as_seconds_or_as_hours_minutes_and_seconds),
                   cmocka_unit_test(a_time_limit_that_is_none_is_refused))
