/** \file observer.h  What an observer is made of: masks and shape noise.  \ingroup lensing */
#ifndef NEPHRITE_LENSING_OBSERVER_H
#define NEPHRITE_LENSING_OBSERVER_H

#include "nephrite/lensing.h"

/** Where a survey has data. */
typedef struct Mask Mask;

/** Reads the file at once, where there is one.
 * Errors: NEPHRITE_ERR_INPUT: no such file or dataset `mask`, another shape, a value that is neither 0 nor 1, no pixel
 * observed. */
PetscErrorCode mask_create(const SurveyConfig *survey, Mask **mask);
/** Is there any?  Not for "none". */
PetscBool mask_exists(const Mask *mask);
/** The mask of one observation.  \param noise its key: with "random" every key has its own mask
 * \param[out] observed [ny][nx] 1 = observed, 0 = not */
void mask_draw(const Mask *mask, RandomKey noise, float *observed);
PetscErrorCode mask_destroy(Mask **mask);

/** plane[i] += std * normal(key, position + i), for i in 0 … count-1. */
void shape_noise_add(RandomKey key, uint64_t position, double std, size_t count, double *plane);

#endif
