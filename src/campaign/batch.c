/** \file batch.c  The endless sequence of maps that training goes through.  \ingroup campaign */
#include "internal.h"

#include <string.h>

struct BatchSource {
  int64_t seed, first, count;
  CampaignReader *reader; /* shards … */
  int64_t *order; /* [count] of this epoch */
  int64_t epoch;
  Simulator *simulator; /* … or fresh simulations … */
  MPI_Comm simulators; /* … or those of other ranks; MPI_COMM_NULL otherwise */
  size_t map_values, parameters;
  TravellingMap *oldest, *newest; /* expected, in the order of their positions */
  TravellingMap *spare; /* room for others */
};

PetscErrorCode batch_source_from_shards(const char *directory, const Options *options, int64_t first, int64_t count,
                                        int64_t seed, BatchSource **source)
{
  BatchSource *s = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&s));
  *source = s;
  s->simulators = MPI_COMM_NULL;
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

static PetscErrorCode create_fresh(const SurveyConfig *survey, PetscInt parameters, int64_t first, BatchSource **source)
{
  BatchSource *s = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&s));
  *source = s;
  s->simulators = MPI_COMM_NULL;
  s->first = first;
  s->map_values = survey_map_values(survey);
  s->parameters = (size_t)parameters;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode batch_source_online(const SurveyConfig *survey, const Prior *prior, int64_t seed, int64_t first,
                                   BatchSource **source)
{
  PetscFunctionBeginUser;
  PetscCall(create_fresh(survey, prior_count(prior), first, source));
  PetscCall(simulator_create(PETSC_COMM_SELF, survey, prior, seed, &(*source)->simulator));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode batch_source_streamed(MPI_Comm simulators, const SurveyConfig *survey, PetscInt parameters,
                                     int64_t first, BatchSource **source)
{
  PetscFunctionBeginUser;
  PetscCall(create_fresh(survey, parameters, first, source));
  (*source)->simulators = simulators;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode list_destroy(TravellingMap *list)
{
  PetscFunctionBeginUser;
  while (list) {
    TravellingMap *map = list;

    list = map->next;
    PetscCall(PetscFree(map->kappa));
    PetscCall(PetscFree(map));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode batch_source_destroy(BatchSource **source)
{
  BatchSource *s = *source;

  PetscFunctionBeginUser;
  if (!s) PetscFunctionReturn(PETSC_SUCCESS);
  for (TravellingMap *map = s->oldest; map && s->simulators != MPI_COMM_NULL; map = map->next)
    PetscCall(stream_wait(map));
  PetscCall(list_destroy(s->oldest));
  PetscCall(list_destroy(s->spare));
  PetscCall(campaign_reader_close(&s->reader));
  PetscCall(simulator_destroy(&s->simulator));
  PetscCall(PetscFree(s->order));
  PetscCall(PetscFree(*source));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ items that are expected */

/* Into the queue, behind all others. */
static PetscErrorCode enqueue(BatchSource *s, int64_t position, TravellingMap **map)
{
  TravellingMap *m = s->spare;

  PetscFunctionBeginUser;
  if (m)
    s->spare = m->next;
  else
    PetscCall(PetscNew(&m));
  m->position = position;
  m->made = PETSC_FALSE;
  m->next = NULL;
  *(s->oldest ? &s->newest->next : &s->oldest) = m;
  s->newest = m;
  *map = m;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Out of the queue; its room is kept. */
static void dequeue(BatchSource *s)
{
  TravellingMap *m = s->oldest;

  s->oldest = m->next;
  m->next = s->spare;
  s->spare = m;
}

static PetscErrorCode announce(BatchSource *s, int64_t position)
{
  TravellingMap *map = NULL;

  PetscFunctionBeginUser;
  PetscCall(enqueue(s, position, &map));
  if (s->simulators != MPI_COMM_NULL) PetscCall(stream_ask(s->simulators, s->first + position, s->map_values, map));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode batch_source_expect(BatchSource *s, int64_t first, int64_t count)
{
  PetscFunctionBeginUser;
  if (s->reader) PetscFunctionReturn(PETSC_SUCCESS); /* what is on disk comes soon enough */
  for (int64_t position = first; position < first + count; position++)
    if (!s->oldest || position > s->newest->position) PetscCall(announce(s, position));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode batch_source_advance(BatchSource *s, PetscBool *more)
{
  TravellingMap *map = s->oldest;

  PetscFunctionBeginUser;
  while (map && map->made) map = map->next;
  *more = PETSC_FALSE;
  if (!map || !s->simulator) PetscFunctionReturn(PETSC_SUCCESS);
  if (!map->kappa) PetscCall(PetscMalloc1(s->map_values, &map->kappa));
  if (simulator_realisation(s->simulator, s->first + map->position, map->kappa, map->letter.theta, NULL)) {
    error_clear();
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  map->made = PETSC_TRUE;
  *more = map->next ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ items that are asked for */

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

/* The oldest expected item, made here ahead of its time or by another rank. */
static PetscErrorCode take_oldest(BatchSource *s, float *kappa, double *theta)
{
  TravellingMap *map = s->oldest;

  PetscFunctionBeginUser;
  if (s->simulators != MPI_COMM_NULL) PetscCall(stream_wait(map));
  dequeue(s);
  PetscCheck(!map->letter.error, PETSC_COMM_SELF, map->letter.error, "%s", map->letter.reason);
  memcpy(kappa, map->kappa, s->map_values * sizeof *kappa);
  memcpy(theta, map->letter.theta, s->parameters * sizeof *theta);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A fresh simulation. */
static PetscErrorCode simulated(BatchSource *s, int64_t position, float *kappa, double *theta)
{
  PetscFunctionBeginUser;
  if (s->simulators != MPI_COMM_NULL) {
    PetscCall(batch_source_expect(s, position, 1));
    PetscCheck(s->oldest->position == position, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
               "item %lld of the training sequence is asked for, and %lld was expected", (long long)position,
               (long long)s->oldest->position);
  }
  const PetscBool expected = s->oldest && s->oldest->position == position ? PETSC_TRUE : PETSC_FALSE;
  if (expected && (s->oldest->made || !s->simulator)) PetscFunctionReturn(take_oldest(s, kappa, theta));
  if (expected) dequeue(s);
  PetscCall(simulator_realisation(s->simulator, s->first + position, kappa, theta, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode batch_source_get(BatchSource *s, int64_t position, float *kappa, double *theta, int64_t *realisation)
{
  const int64_t index = s->reader ? in_order(s, position) : s->first + position;

  PetscFunctionBeginUser;
  if (realisation) *realisation = index;
  if (s->reader)
    PetscCall(campaign_reader_get(s->reader, index, kappa, theta));
  else
    PetscCall(simulated(s, position, kappa, theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}
