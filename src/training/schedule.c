/** \file schedule.c  The course of the learning rate.  \ingroup training */
#include "internal.h"

#include <math.h>

double schedule_learning_rate(const TrainConfig *train, int64_t step)
{
  const double first = train->learning_rate, final = train->final_learning_rate;
  const int64_t after = step - 1 - train->warmup, last = train->steps - 1 - train->warmup;

  if (after < 0) return first * (double)step / (double)(train->warmup + 1);
  if (train->schedule == SCHEDULE_CONSTANT || last <= 0) return first;

  const double done = (double)after / (double)last; /* 0 at the first step after warm-up, 1 at the last step */
  if (train->schedule == SCHEDULE_LINEAR) return first + (final - first) * done;
  return final + (first - final) * (1 + cos(M_PI * done)) / 2;
}
