/** \file climb.c  The most probable white noise at given parameters.  \ingroup inference
 *
 * Parameters are given, since a joint maximum says nothing of them: the greater the power, the less noise makes the
 * same map, up to the edge of the prior. */
#include "inference/internal.h"

/** The posterior as a function of the noise alone. */
typedef struct {
  FieldPosterior *posterior;
  PetscInt parameters, pixels; /* coordinates of each kind */
  double *x, *gradient; /* [parameters + pixels] */
} Slice;

static PetscErrorCode log_density(void *context, const double *white, double *value, double *gradient)
{
  Slice *s = context;

  PetscFunctionBeginUser;
  PetscCall(PetscArraycpy(s->x + s->parameters, white, s->pixels));
  PetscCall(field_posterior_evaluate(s->posterior, s->x, value, s->gradient));
  PetscCall(PetscArraycpy(gradient, s->gradient + s->parameters, s->pixels));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode climb_at(MPI_Comm comm, FieldPosterior *posterior, const double *theta, PetscInt most_iterations,
                        double *x, Maximum *found)
{
  const PetscInt parameters = field_posterior_parameters(posterior);
  const PetscInt pixels = field_posterior_dimension(posterior) - parameters;
  const MaximumSearch search = {pixels, most_iterations, CLIMB_TOLERANCE};
  Slice slice = {.posterior = posterior, .parameters = parameters, .pixels = pixels, .x = x};
  double *white = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc2((size_t)pixels, &white, (size_t)(parameters + pixels), &slice.gradient));
  error = field_posterior_pack(posterior, theta, white, x);
  if (!error) error = maximum_find(comm, &search, log_density, &slice, white, found);
  if (!error) error = PetscArraycpy(x + parameters, white, pixels);
  PetscCall(PetscFree2(white, slice.gradient));
  PetscFunctionReturn(error);
}
