/** \file constrained_iterate.c  Constraints that couple Fourier modes: masks, noise that varies.  \ingroup inference
 *
 * (1 + R^T A^T N^-1 A R) x = b by preconditioned conjugate gradients.  The matrix is symmetric in vectors of modes
 * whose product is that of maps, so each mode is scaled by (weight/(ny nx))^1/2.  The preconditioner is the same matrix
 * with the mean of N^-1 in every pixel, which is diagonal in modes.  The matrix has eigenvalues from 1, of modes that
 * fit into what is not seen, to 1 + P/N: the iterations grow with the root of signal over noise in modes as large as
 * the holes, and neither with the number of pixels nor with the size of a map whose holes stay the same.
 */
#include "inference/constrained.h"

#include <math.h>
#include <string.h>

/* A mode's scale: of 1/(ny nx) its transform, times this, is what a vector holds. */
static double scale_of(const ModeGrid *g, size_t mode)
{
  return sqrt(mode_weight(g, mode) * (double)g->pixels);
}

/* out += R^T A^T N^-1 A R in.  \param in, out [bins][modes] of a vector */
static void add_seen(ConstrainedField *f, const double complex *in, double complex *out)
{
  ModeGrid *const g = &f->grid;
  double complex *const kappa = f->work, *const seen = f->side; /* in the vectors by now */

  modes_multiply(g, f->root, MATRIX_AS_IS, in, kappa);
  for (PetscInt bin = 0; bin < g->bins; bin++) {
    double complex *const of_bin = kappa + (size_t)bin * g->modes;
    const double *const inverse_std = f->inverse_std + (size_t)bin * g->pixels;

    for (size_t k = 0; k < g->modes; k++) of_bin[k] /= scale_of(g, k);
    modes_show(g, of_bin, f->map);
    for (size_t i = 0; i < (size_t)g->planes * g->pixels; i++)
      f->map[i] *= inverse_std[i % g->pixels] * inverse_std[i % g->pixels];
    mode_grid_project(g, f->map, of_bin);
    for (size_t k = 0; k < g->modes; k++) of_bin[k] *= scale_of(g, k) / (double)g->pixels;
  }
  modes_multiply(g, f->root, MATRIX_TRANSPOSED, kappa, seen);
  for (size_t i = 0; i < (size_t)g->bins * g->modes; i++) out[i] += seen[i];
}

static PetscErrorCode apply_operator(Mat operator, Vec in, Vec out)
{
  ConstrainedField *f = NULL;
  const PetscScalar *from;
  PetscScalar *to;

  PetscFunctionBeginUser;
  PetscCall(MatShellGetContext(operator, & f));
  PetscCall(VecCopy(in, out));
  PetscCall(VecGetArrayRead(in, &from));
  PetscCall(VecGetArray(out, &to));
  add_seen(f, (const double complex *)from, (double complex *)to);
  PetscCall(VecRestoreArray(out, &to));
  PetscCall(VecRestoreArrayRead(in, &from));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode apply_preconditioner(PC preconditioner, Vec in, Vec out)
{
  ConstrainedField *f = NULL;
  const PetscScalar *from;
  PetscScalar *to;

  PetscFunctionBeginUser;
  PetscCall(PCShellGetContext(preconditioner, &f));
  PetscCall(VecGetArrayRead(in, &from));
  PetscCall(VecGetArrayWrite(out, &to));
  modes_multiply(&f->grid, f->inverse, MATRIX_AS_IS, (const double complex *)from, (double complex *)to);
  PetscCall(VecRestoreArrayWrite(out, &to));
  PetscCall(VecRestoreArrayRead(in, &from));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode constrained_iteration_create(ConstrainedField *f)
{
  Iteration *const t = &f->iteration;
  const size_t values = 2 * (size_t)f->grid.bins * f->grid.modes;
  PC preconditioner;

  PetscFunctionBeginUser;
  PetscCheck(values <= PETSC_MAX_INT, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%zu numbers of Fourier modes are more than a vector of PETSc has", values);
  const PetscInt n = (PetscInt)values;
  PetscCall(MatCreateShell(PETSC_COMM_SELF, n, n, n, n, f, &t->operator));
  PetscCall(MatShellSetOperation(t->operator, MATOP_MULT, (void (*)(void))apply_operator));
  PetscCall(MatSetOption(t->operator, MAT_SPD, PETSC_TRUE));
  PetscCall(VecCreateSeq(PETSC_COMM_SELF, n, &t->side));
  PetscCall(VecDuplicate(t->side, &t->solution));
  PetscCall(KSPCreate(PETSC_COMM_SELF, &t->ksp));
  PetscCall(KSPSetOperators(t->ksp, t->operator, t->operator));
  PetscCall(KSPSetType(t->ksp, KSPCG));
  PetscCall(KSPSetNormType(t->ksp, KSP_NORM_NATURAL));
  PetscCall(KSPSetTolerances(t->ksp, f->solver.tolerance, 0, PETSC_DEFAULT, f->solver.most_iterations));
  PetscCall(KSPGetPC(t->ksp, &preconditioner));
  PetscCall(PCSetType(preconditioner, PCSHELL));
  PetscCall(PCShellSetContext(preconditioner, f));
  PetscCall(PCShellSetApply(preconditioner, apply_preconditioner));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode constrained_iteration_destroy(ConstrainedField *f)
{
  Iteration *const t = &f->iteration;

  PetscFunctionBeginUser;
  PetscCall(KSPDestroy(&t->ksp));
  PetscCall(MatDestroy(&t->operator));
  PetscCall(VecDestroy(&t->side));
  PetscCall(VecDestroy(&t->solution));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* f->side to a vector, and back. */
static PetscErrorCode fill_vector(const ConstrainedField *f, Vec vector)
{
  const ModeGrid *const g = &f->grid;
  PetscScalar *array;

  PetscFunctionBeginUser;
  PetscCall(VecGetArrayWrite(vector, &array));
  double complex *const scaled = (double complex *)array;
  for (size_t i = 0; i < (size_t)g->bins * g->modes; i++)
    scaled[i] = f->side[i] * (scale_of(g, i % g->modes) / (double)g->pixels);
  PetscCall(VecRestoreArrayWrite(vector, &array));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_vector(ConstrainedField *f, Vec vector)
{
  const ModeGrid *const g = &f->grid;
  const PetscScalar *array;

  PetscFunctionBeginUser;
  PetscCall(VecGetArrayRead(vector, &array));
  const double complex *const scaled = (const double complex *)array;
  for (size_t i = 0; i < (size_t)g->bins * g->modes; i++)
    f->side[i] = scaled[i] * ((double)g->pixels / scale_of(g, i % g->modes));
  PetscCall(VecRestoreArrayRead(vector, &array));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode constrained_iterate(ConstrainedField *f)
{
  Iteration *const t = &f->iteration;
  KSPConvergedReason reason;
  PetscReal residual;

  PetscFunctionBeginUser;
  PetscCall(fill_vector(f, t->side));
  PetscCall(KSPSolve(t->ksp, t->side, t->solution));
  PetscCall(KSPGetConvergedReason(t->ksp, &reason));
  PetscCall(KSPGetIterationNumber(t->ksp, &f->iterations));
  PetscCall(KSPGetResidualNorm(t->ksp, &residual));
  PetscCheck(reason > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "the map did not converge in %d iterations, to a residual of %.3g where %.3g times the first is wanted "
             "(%s)%s%s",
             (int)f->iterations, residual, f->solver.tolerance, KSPConvergedReasons[reason], *f->name ? ", at " : "",
             f->name);
  PetscCall(read_vector(f, t->solution));
  PetscFunctionReturn(PETSC_SUCCESS);
}
