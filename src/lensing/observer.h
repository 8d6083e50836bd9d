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

/** What is typical of a bin's noise: of an even survey its noise, with counts that of a pixel of the mean count. */
double shape_noise_typical(const ShapeNoise *noise, PetscInt bin);
/** By what the noise of an observation differs from the survey's in a bin: 1, or with survey_noise_range its own. */
double shape_noise_factor(const ShapeNoise *noise, RandomKey key, PetscInt bin);
/** Add the noise of one bin: std * factor * normal(key, index in the raw observation).
 * \param[in,out] plane [planes][ny][nx] */
void shape_noise_add(const ShapeNoise *noise, RandomKey key, PetscInt bin, PetscInt planes, double *plane);

#endif
