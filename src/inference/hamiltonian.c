/** \file hamiltonian.c  Energy, momenta, and steps in phase space.  \ingroup inference */
#include "inference/nuts.h"

#include <math.h>

/* LAPACK's Cholesky factorisation. */
void dpotrf_(const char *triangle, const int *n, double *a, const int *lda, int *info);

PetscErrorCode hamiltonian_create(const NutsConfig *config, LogDensity *density, void *context, Hamiltonian *h)
{
  PetscFunctionBeginUser;
  *h = (Hamiltonian){.comm = config->comm,
                     .dimension = config->dimension,
                     .dense = config->dense,
                     .density = density,
                     .exact = config->exact,
                     .context = context};
  PetscCallMPI(MPI_Comm_rank(h->comm, &h->rank));
  PetscCallMPI(MPI_Comm_size(h->comm, &h->ranks));
  PetscCall(PetscMalloc1((size_t)h->dense * (size_t)h->dense + 1, &h->factor));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode hamiltonian_correction(const Hamiltonian *h, const double *q, double log_density, double *correction)
{
  double exact;

  PetscFunctionBeginUser;
  PetscCall(h->exact(h->context, q, &exact, NULL));
  *correction = exact - log_density;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode hamiltonian_destroy(Hamiltonian *h)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(h->factor));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode take_up_mass(Hamiltonian *h)
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

PetscErrorCode hamiltonian_set_mass(Hamiltonian *h)
{
  PetscFunctionBeginUser;
  PetscCall(group_agree(h->comm, take_up_mass(h)));
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

PetscErrorCode hamiltonian_product(const Hamiltonian *h, const double *a, const double *b, double *product)
{
  double sum = 0;

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < h->dense && !h->rank; i++) sum += velocity(h, a, i) * b[i]; /* what all have counts once */
  for (PetscInt i = h->dense; i < h->dimension; i++) sum += h->variance[i] * a[i] * b[i];
  if (h->ranks > 1) PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, h->comm));
  *product = sum;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode hamiltonian_energy(const Hamiltonian *h, const PhasePoint *point, double *energy)
{
  double twice_kinetic;

  PetscFunctionBeginUser;
  PetscCall(hamiltonian_product(h, point->p, point->p, &twice_kinetic));
  *energy = twice_kinetic / 2 - point->log_density;
  if (!isfinite(*energy)) *energy = INFINITY;
  PetscFunctionReturn(PETSC_SUCCESS);
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
