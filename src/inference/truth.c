/** \file truth.c  The realisations that observations are made of.  \ingroup inference */
#include "nephrite/inference.h"

struct TruthSource {
  const InferenceSetup *setup;
  CampaignReader *reader; /* shards … */
  Simulator *simulator; /* … or, after online training, none are needed */
};

int64_t truth_source_realisation(const InferenceSetup *setup, int64_t observation)
{
  return setup->simulate->realisations - setup->train->held_out + observation;
}

PetscErrorCode truth_source_create(const InferenceSetup *setup, TruthSource **source)
{
  TruthSource *s = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&s));
  *source = s;
  s->setup = setup;
  if (setup->train->source == SOURCE_ONLINE)
    PetscCall(simulator_create(PETSC_COMM_SELF, setup->survey, setup->prior, setup->campaign->seed, &s->simulator));
  else
    PetscCall(campaign_reader_open(setup->campaign->campaign, setup->options, &s->reader));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode truth_source_get(TruthSource *s, int64_t observation, float *kappa, double *theta)
{
  const int64_t realisation = truth_source_realisation(s->setup, observation);

  PetscFunctionBeginUser;
  if (s->reader)
    PetscCall(campaign_reader_get(s->reader, realisation, kappa, theta));
  else
    PetscCall(simulator_realisation(s->simulator, realisation, kappa, theta, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode truth_source_destroy(TruthSource **source)
{
  PetscFunctionBeginUser;
  if (!*source) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(campaign_reader_close(&(*source)->reader));
  PetscCall(simulator_destroy(&(*source)->simulator));
  PetscCall(PetscFree(*source));
  PetscFunctionReturn(PETSC_SUCCESS);
}
