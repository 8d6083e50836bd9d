/** \file constrained.h  What the parts of a constrained field share.  \ingroup inference */
#ifndef NEPHRITE_INFERENCE_CONSTRAINED_H
#define NEPHRITE_INFERENCE_CONSTRAINED_H

#include "inference/modes.h"
#include "nephrite/inference.h"

#include <petscksp.h>

/** Conjugate gradients on vectors of modes, real and imaginary parts, each mode times (weight/(ny nx))^1/2: the product
 * of two such vectors is that of their maps. */
typedef struct {
  KSP ksp; /* NULL where every mode is solved for by itself */
  Mat operator;
  Vec side, solution; /* [bins][modes][2] */
} Iteration;

struct ConstrainedField {
  ModeGrid grid;
  ConstraintSolver solver;
  double *observed; /* [bins][planes][ny][nx], 0 in pixels that are not seen */
  double *inverse_std; /* [bins][ny][nx] 1/noise_std, 0 in pixels that are not seen */
  double mean_weight[NEPHRITE_MAX_BINS]; /* [bins] mean of 1/noise_std^2 over all pixels */
  char name[OPTION_TEXT_SIZE]; /* of the cosmology, for messages; may be empty */
  PetscBool ready; /* spectra are set */
  double *power; /* [bins(bins+1)/2][modes] P_ij */
  double *root; /* [quarter][bins][bins] R, P = R R^T */
  double *inverse; /* [quarter][bins][bins] (1 + v R^T W R)^-1, W the mean_weight */
  double complex *signal; /* [bins][modes] a realisation of the prior, then of the posterior */
  double complex *side; /* [bins][modes] right-hand side, then solution */
  double complex *work; /* [bins][modes] */
  double *map, *white; /* [planes][ny][nx] */
  Iteration iteration;
  PetscInt iterations; /* of the last solution */
};

typedef enum { MATRIX_AS_IS, MATRIX_TRANSPOSED } MatrixSide;
/** out = matrix in, for every mode.  \param matrix [quarter][bins][bins]  \param in, out [bins][modes], not the same */
void modes_multiply(const ModeGrid *grid, const double *matrix, MatrixSide side, const double complex *in,
                    double complex *out);
/** The two planes (shear) or the one of a bin that its modes make.  \param modes [modes] of 1/(ny nx) the transform
 * \param[out] map [planes][ny][nx] */
void modes_show(ModeGrid *grid, const double complex *modes, double *map);

/** Make ready for constrained_iterate(). */
PetscErrorCode constrained_iteration_create(ConstrainedField *field);
/** Solve (1 + R^T A^T N^-1 A R) x = side for all modes together, in place in field->side.
 * Errors: NEPHRITE_ERR_INTERNAL if that does not converge, with the residual. */
PetscErrorCode constrained_iterate(ConstrainedField *field);
PetscErrorCode constrained_iteration_destroy(ConstrainedField *field);

#endif
