/** \file batch.c  The endless sequence of maps that training goes through.  \ingroup campaign */
#include "nephrite/campaign.h"

struct BatchSource {
  int64_t seed, first, count;
  CampaignReader *reader; /* shards … */
  int64_t *order; /* [count] of this epoch */
  int64_t epoch;
  Simulator *simulator; /* … or fresh simulations */
};

PetscErrorCode batch_source_from_shards(const char *directory, const Options *options, int64_t first, int64_t count,
                                        int64_t seed, BatchSource **source)
{
  BatchSource *s = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&s));
  *source = s;
  s->seed = seed;
  s->first = first;
  s->count = count;
  s->epoch = -1;
  PetscCall(campaign_reader_open(directory, options, &s->reader));
  PetscCheck(first >= 0 && count > 0 && first + count <= campaign_reader_count(s->reader), PETSC_COMM_SELF,
             NEPHRITE_ERR_INPUT, "%s/sims has %lld maps; maps %lld to %lld are wanted", directory,
             (long long)campaign_reader_count(s->reader), (long long)first, (long long)(first + count - 1));
  PetscCall(PetscMalloc1((size_t)count, &s->order));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode batch_source_online(const SurveyConfig *survey, const Prior *prior, int64_t seed, int64_t first,
                                   BatchSource **source)
{
  BatchSource *s = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&s));
  *source = s;
  s->seed = seed;
  s->first = first;
  PetscCall(simulator_create(PETSC_COMM_SELF, survey, prior, seed, &s->simulator));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode batch_source_destroy(BatchSource **source)
{
  PetscFunctionBeginUser;
  if (!*source) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(campaign_reader_close(&(*source)->reader));
  PetscCall(simulator_destroy(&(*source)->simulator));
  PetscCall(PetscFree((*source)->order));
  PetscCall(PetscFree(*source));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Every epoch goes through all maps in an order of its own. */
static int64_t in_order(BatchSource *s, int64_t position)
{
  const int64_t epoch = position / s->count;

  if (epoch != s->epoch) {
    random_permutation((RandomKey){(uint64_t)s->seed, STREAM_ORDER, (uint64_t)epoch}, s->count, s->order);
    s->epoch = epoch;
  }
  return s->first + s->order[position % s->count];
}

PetscErrorCode batch_source_get(BatchSource *s, int64_t position, float *kappa, double *theta, int64_t *realisation)
{
  const int64_t index = s->reader ? in_order(s, position) : s->first + position;

  PetscFunctionBeginUser;
  if (realisation) *realisation = index;
  if (s->reader)
    PetscCall(campaign_reader_get(s->reader, index, kappa, theta));
  else
    PetscCall(simulator_realisation(s->simulator, index, kappa, theta, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}
