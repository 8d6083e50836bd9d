/** \file laps.c  What the first thread of a network spends its time on.  \ingroup network */
#include "internal.h"

#include <omp.h>

static const char *const names[NETWORK_PARTS] = {"linear maps", "attention", "weight gradients",
                                                 "row by row",  "waiting",   "embeddings and heads"};

const char *network_part_name(NetworkPart part)
{
  return names[part];
}

double network_part_seconds(const Network *network, NetworkPart part)
{
  return network->laps->seconds[part];
}

void laps_begin(const Network *network)
{
  network->laps->last = omp_get_wtime();
}

void lap(const Network *network, NetworkPart part)
{
  if (omp_get_thread_num()) return;
  Laps *const laps = network->laps;
  const double now = omp_get_wtime();

  laps->seconds[part] += now - laps->last;
  laps->last = now;
}
