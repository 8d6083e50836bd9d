/** \file method_map.c  The most probable map at given parameters.  \ingroup inference
 *
 * Of the white noise that the field is made of. */
#include "inference/internal.h"

#include <math.h>

static PetscErrorCode climb(Worker *w, FieldPosterior *posterior, double *x, double *map)
{
  const double *theta = w->state;
  Maximum found;
  char name[256];

  PetscFunctionBeginUser;
  PetscCall(climb_at(PETSC_COMM_SELF, posterior, theta, w->setup->infer->iterations, x, &found));
  prior_describe(w->setup->prior, theta, name, sizeof name);
  PetscCheck(isfinite(found.log_density), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "there is no field with %s", name);
  PetscCheck(found.converged, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "no maximum after %d of infer_iterations: the gradient is %.3g per pixel where %.3g is wanted, with %s",
             (int)found.iterations, found.gradient, CLIMB_TOLERANCE, name);
  PetscCall(field_posterior_unpack(posterior, x, NULL, map));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode estimate(Worker *w, float *kappa)
{
  const Observation observation = worker_observation(w);
  FieldPosterior *posterior = NULL;
  double *x = NULL, *map = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = field_posterior_create(PETSC_COMM_SELF, w->setup->survey, w->setup->prior, &observation, &posterior);
  if (!error) error = PetscMalloc2(field_posterior_dimension(posterior), &x, worker_map_size(w), &map);
  if (!error) error = climb(w, posterior, x, map);
  for (size_t i = 0; i < worker_map_size(w) && !error; i++) kappa[i] = (float)map[i];
  PetscCall(PetscFree2(x, map));
  PetscCall(field_posterior_destroy(&posterior));
  PetscFunctionReturn(error);
}

const InferenceMethod method_map = {.suffix = "",
                                    .scope = SCOPE_SIMULATION | SCOPE_ESTIMATE,
                                    .create = fiducial_create,
                                    .estimate = estimate,
                                    .description = "most probable map at the parameters of infer_fiducial [bin, y, x]",
                                    .destroy = fiducial_destroy};
