/** \file hamiltonian.c  Energy, momenta, and steps in phase space.  \ingroup inference */
#include "inference/nuts.h"

#include <math.h>

/* LAPACK's Cholesky factorisation. */
void dpotrf_(const char *triangle, const int *n, double *a, const int *lda, int *info);

PetscErrorCode hamiltonian_create(PetscInt dimension, PetscInt dense, LogDensity *density, void *context,
                                  Hamiltonian *h)
{
  PetscFunctionBeginUser;
  *h = (Hamiltonian){.dimension = dimension, .dense = dense, .density = density, .context = context};
  PetscCall(PetscMalloc1((size_t)dense * (size_t)dense + 1, &h->factor));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode hamiltonian_destroy(Hamiltonian *h)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(h->factor));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode hamiltonian_set_mass(Hamiltonian *h)
{
  const int n = (int)h->dense;
  int info = 0;

  PetscFunctionBeginUser;
  for (PetscInt i = h->dense; i < h->dimension; i++)
    PetscCheck(h->variance[i] > 0 && isfinite(h->variance[i]), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
               "the inverse mass of coordinate %" PetscInt_FMT " is %.6g", i, h->variance[i]);
  PetscCall(PetscArraycpy(h->factor, h->covariance, h->dense * h->dense));
  if (n) dpotrf_("U", &n, h->factor, &n, &info); /* upper by columns is lower by rows */
  PetscCheck(!info, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "the inverse mass matrix is not positive definite (LAPACK dpotrf, info %d)", info);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* M^-1 = F F^T: F^-T times standard normals have covariance M. */
void hamiltonian_momentum(const Hamiltonian *h, double *p)
{
  for (PetscInt i = h->dense - 1; i >= 0; i--) {
    for (PetscInt j = i + 1; j < h->dense; j++) p[i] -= h->factor[j * h->dense + i] * p[j];
    p[i] /= h->factor[i * h->dense + i];
  }
  for (PetscInt i = h->dense; i < h->dimension; i++) p[i] /= sqrt(h->variance[i]);
}

/* Element i of M^-1 a. */
static double velocity(const Hamiltonian *h, const double *a, PetscInt i)
{
  double sum = 0;

  if (i >= h->dense) return h->variance[i] * a[i];
  for (PetscInt j = 0; j < h->dense; j++) sum += h->covariance[i * h->dense + j] * a[j];
  return sum;
}

double hamiltonian_product(const Hamiltonian *h, const double *a, const double *b)
{
  double sum = 0;

  for (PetscInt i = 0; i < h->dense; i++) sum += velocity(h, a, i) * b[i];
  for (PetscInt i = h->dense; i < h->dimension; i++) sum += h->variance[i] * a[i] * b[i];
  return sum;
}

double hamiltonian_energy(const Hamiltonian *h, const PhasePoint *point)
{
  const double energy = hamiltonian_product(h, point->p, point->p) / 2 - point->log_density;

  return isfinite(energy) ? energy : INFINITY;
}

PetscErrorCode hamiltonian_differentiate(const Hamiltonian *h, PhasePoint *point)
{
  PetscFunctionBeginUser;
  PetscCall(h->density(h->context, point->q, &point->log_density, point->gradient));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode hamiltonian_leapfrog(const Hamiltonian *h, double step, PhasePoint *point)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < h->dimension; i++) point->p[i] += step / 2 * point->gradient[i];
  for (PetscInt i = 0; i < h->dense; i++) point->q[i] += step * velocity(h, point->p, i);
  for (PetscInt i = h->dense; i < h->dimension; i++) point->q[i] += step * h->variance[i] * point->p[i];
  PetscCall(hamiltonian_differentiate(h, point));
  for (PetscInt i = 0; i < h->dimension; i++) point->p[i] += step / 2 * point->gradient[i];
  PetscFunctionReturn(PETSC_SUCCESS);
}
