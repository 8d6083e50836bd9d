/** \file campaign_options.c  What every program shares: where a campaign is, its seed, threads.  \ingroup campaign */
#include "nephrite/campaign.h"

#include <stdlib.h>
#include <string.h>

static const OptionSpec specs[] = {
    {"config", VALUE_TEXT, offsetof(CampaignConfig, config), "", "", 0, 0, NULL, SCOPE_RUN,
     "campaign file (YAML); the command line overrides it"},
    {"campaign", VALUE_TEXT, offsetof(CampaignConfig, campaign), "", "", 0, 0, NULL, SCOPE_RUN,
     "directory of the campaign's products; empty for campaigns/<name of the campaign file>"},
    {"seed", VALUE_INT64, offsetof(CampaignConfig, seed), "", "1", 0, 9e15, NULL,
     SCOPE_SIMULATION | SCOPE_TRAINING | SCOPE_POSTERIOR, "seed of every random number of the campaign"},
    {"threads", VALUE_INT, offsetof(CampaignConfig, threads), "", "0", 0, 4096, NULL, SCOPE_RUN,
     "OpenMP threads per rank; 0 for OMP_NUM_THREADS, or 1 where that is not set"},
    {"time_limit", VALUE_TEXT, offsetof(CampaignConfig, time_limit), "", "", 0, 0, NULL, SCOPE_RUN,
     "time from the program's start, in seconds or [days-]hours:minutes:seconds, before which it ends, with its "
     "progress "
     "saved and exit code 75; empty for none"},
    {"share", VALUE_TEXT, offsetof(CampaignConfig, share), "", "", 0, 0, NULL, SCOPE_RUN,
     "which share of its stage this run does, \"3/8\" for the third of eight that as many jobs do at the same time: of "
     "nephrite-simulate and nephrite-infer; empty for all of it"},
    {"dry_run", VALUE_FLAG, offsetof(CampaignConfig, dry_run), "", "false", 0, 0, NULL, SCOPE_RUN,
     "check the configuration, say what the run would need, and end"},
};

const OptionTable campaign_options = {"campaign", specs, sizeof specs / sizeof *specs};

/* \returns where the text goes on after the number; NULL if there is none, or too long a one */
static const char *read_number(const char *text, int64_t *number)
{
  const size_t digits = strspn(text, "0123456789");

  if (digits < 1 || digits > 9) return NULL;
  *number = strtoll(text, NULL, 10);
  return text + digits;
}

static PetscBool read_time(const char *text, double *seconds)
{
  int64_t days = 0, hours, minute[2]; /* and second */
  const char *at = read_number(text, &hours);

  if (at && !*at) {
    *seconds = (double)hours; /* a bare number */
    return *seconds > 0 ? PETSC_TRUE : PETSC_FALSE;
  }
  if (at && *at == '-') {
    days = hours;
    at = read_number(at + 1, &hours);
  }
  for (int i = 0; i < 2; i++) {
    at = at && *at == ':' ? read_number(at + 1, &minute[i]) : NULL;
    if (!at || minute[i] >= 60) return PETSC_FALSE;
  }
  *seconds = (double)(((24 * days + hours) * 60 + minute[0]) * 60 + minute[1]);
  return !*at && *seconds > 0 ? PETSC_TRUE : PETSC_FALSE;
}

PetscErrorCode campaign_time_limit(const CampaignConfig *campaign, double *seconds)
{
  PetscFunctionBeginUser;
  *seconds = 0;
  PetscCheck(!campaign->time_limit[0] || read_time(campaign->time_limit, seconds), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "time_limit is %s; it must be a number of seconds, or [days-]hours:minutes:seconds, and more than 0",
             campaign->time_limit);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode campaign_share(const CampaignConfig *campaign, StageShare *share)
{
  const char *const text = campaign->share;
  int64_t number, count;

  PetscFunctionBeginUser;
  *share = (StageShare){1, 1};
  if (!text[0]) PetscFunctionReturn(PETSC_SUCCESS);
  const char *at = read_number(text, &number);
  at = at && *at == '/' ? read_number(at + 1, &count) : NULL;
  PetscCheck(at && !*at && number >= 1 && number <= count, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "share is %s; it must be NUMBER/COUNT with NUMBER from 1 to COUNT, such as 3/8", text);
  *share = (StageShare){(PetscInt)number, (PetscInt)count};
  PetscFunctionReturn(PETSC_SUCCESS);
}
