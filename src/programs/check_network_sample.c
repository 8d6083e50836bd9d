/** \file check_network_sample.c  Draws from given noise against a reference file (doc/network.md, sections 8 and 9).
 * \ingroup programs */
#include "check_network.h"
#include "nephrite/inference.h"

#include <string.h>

/** The path of all draws: one more point than there are steps, the last after the closing Euler step. */
typedef struct {
  size_t maps, thetas; /* numbers of all draws */
  Scalar *x, *theta; /* [steps + 1][draws]… */
} Path;

static PetscErrorCode keep_point(void *context, PetscInt step, const Scalar *z, const Scalar *z_theta)
{
  Path *path = context;
  const size_t point = (size_t)step - 1;

  PetscFunctionBeginUser;
  memcpy(path->x + point * path->maps, z, path->maps * sizeof *z);
  memcpy(path->theta + point * path->thetas, z_theta, path->thetas * sizeof *z_theta);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode integrate(NetworkCheck *check, PetscInt draws, PetscInt steps, Path *path)
{
  const size_t observed = path->maps / (size_t)check->shape.bins * (size_t)check->shape.observation_channels;
  const Model model = {.shape = check->shape,
                       .weights = network_weights(check->network),
                       .weight_count = network_parameter_count(check->network)};
  const SamplerSettings settings = {.solver = SOLVER_HEUN, .closing = CLOSING_PUBLISHED, .evaluations = 2 * steps + 1};
  const SamplerMonitor monitor = {keep_point, path};
  Scalar *z, *z_theta, *observation;
  Sampler *sampler = NULL;

  PetscFunctionBeginUser;
  PetscCall(check_network_read(check, "sample/noise_x", path->maps, &z));
  PetscCall(check_network_read(check, "sample/noise_theta", path->thetas, &z_theta));
  PetscCall(check_network_read(check, "sample/observation", observed, &observation));
  PetscErrorCode error = sampler_create(&model, draws, &settings, &sampler);
  if (!error) error = sampler_integrate(sampler, &(SamplerCondition){observation, NULL}, draws, z, z_theta, &monitor);
  PetscCall(sampler_destroy(&sampler));
  PetscFunctionReturn(error);
}

PetscErrorCode check_network_sample(NetworkCheck *check)
{
  hsize_t shape[PRODUCT_MAX_RANK];
  int64_t steps;
  Path path;

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_int(check->file, "sample", "steps", 1, &steps));
  PetscCall(product_shape(check->file, "sample/noise_x", NULL, shape));
  const size_t last = (size_t)steps - 1;
  path.maps = shape[0] * check->pixels;
  path.thetas = shape[0] * check->parameters;
  PetscCall(check_network_buffer(check, (last + 2) * path.maps * sizeof *path.x, &path.x));
  PetscCall(check_network_buffer(check, (last + 2) * path.thetas * sizeof *path.theta, &path.theta));
  PetscCall(integrate(check, (PetscInt)shape[0], (PetscInt)steps, &path));
  const struct {
    const char *dataset;
    size_t count;
    const Scalar *ours;
  } table[] = {
      {"sample/path_x", last * path.maps, path.x},
      {"sample/path_theta", (last + 1) * path.thetas, path.theta},
      {"sample/x", path.maps, path.x + last * path.maps},
      {"sample/theta", path.thetas, path.theta + last * path.thetas},
      {"sample/extra_euler_x", path.maps, path.x + (last + 1) * path.maps},
      {"sample/extra_euler_theta", path.thetas, path.theta + (last + 1) * path.thetas},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    PetscCall(check_network_report(check, table[i].dataset, table[i].count, table[i].ours, 1e-5));
  PetscFunctionReturn(PETSC_SUCCESS);
}
