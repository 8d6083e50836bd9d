/** \file method_map.c  The most probable map at given parameters.  \ingroup inference
 *
 * Of the white noise that the field is made of.  Parameters are given, since a joint maximum says nothing of them: the
 * greater the power, the less noise makes the same map, up to the edge of the prior. */
#include "inference/internal.h"

#include <math.h>

/* Of a gradient whose coordinates are a priori standard normals: far below the width of any of them. */
#define GRADIENT_TOLERANCE 1e-4

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

static PetscErrorCode slice_create(Worker *w, Slice *s)
{
  const Observation observation = worker_observation(w);

  PetscFunctionBeginUser;
  PetscCall(field_posterior_create(w->setup->survey, w->setup->prior, &observation, &s->posterior));
  s->parameters = field_posterior_parameters(s->posterior);
  s->pixels = field_posterior_dimension(s->posterior) - s->parameters;
  const size_t coordinates = (size_t)(s->parameters + s->pixels);
  PetscCall(PetscCalloc2(coordinates, &s->x, coordinates, &s->gradient));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode slice_destroy(Slice *s)
{
  PetscFunctionBeginUser;
  PetscCall(field_posterior_destroy(&s->posterior));
  PetscCall(PetscFree2(s->x, s->gradient));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* From a map without structure.  \param white, map [pixels]: work space, and the map */
static PetscErrorCode climb(Worker *w, Slice *s, double *white, double *map)
{
  const double *theta = w->state;
  const MaximumSearch search = {s->pixels, w->setup->infer->iterations, GRADIENT_TOLERANCE};
  Maximum found;
  char name[256];

  PetscFunctionBeginUser;
  PetscCall(field_posterior_pack(s->posterior, theta, white, s->x));
  PetscCall(maximum_find(&search, log_density, s, white, &found));
  prior_describe(w->setup->prior, theta, name, sizeof name);
  PetscCheck(isfinite(found.log_density), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "there is no field with %s", name);
  PetscCheck(found.converged, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "no maximum after %d of infer_iterations: the gradient is %.3g per pixel where %.3g is wanted, with %s",
             (int)found.iterations, found.gradient, search.tolerance, name);
  PetscCall(PetscArraycpy(s->x + s->parameters, white, s->pixels));
  PetscCall(field_posterior_unpack(s->posterior, s->x, NULL, map));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode estimate(Worker *w, float *kappa)
{
  Slice slice = {0};
  double *white = NULL, *map = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = slice_create(w, &slice);
  if (!error) error = PetscCalloc2(worker_map_size(w), &white, worker_map_size(w), &map);
  if (!error) error = climb(w, &slice, white, map);
  for (size_t i = 0; i < worker_map_size(w) && !error; i++) kappa[i] = (float)map[i];
  PetscCall(PetscFree2(white, map));
  PetscCall(slice_destroy(&slice));
  PetscFunctionReturn(error);
}

const InferenceMethod method_map = {.suffix = "",
                                    .scope = SCOPE_SIMULATION | SCOPE_ESTIMATE,
                                    .create = fiducial_create,
                                    .estimate = estimate,
                                    .description = "most probable map at the parameters of infer_fiducial [bin, y, x]",
                                    .destroy = fiducial_destroy};
