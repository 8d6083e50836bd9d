/** \file mask.c  Which pixels are observed: all, a file's, or random holes and an edge.  \ingroup lensing */
#include "lensing/observer.h"

#include <math.h>
#include <string.h>

typedef enum { MASK_NONE, MASK_FILE, MASK_RANDOM } MaskKind;

struct Mask {
  MaskKind kind;
  PetscInt ny, nx;
  float *observed; /* [ny][nx] of the file, or NULL */
};

/* The random mask: holes round stars, one per 256 pixels with radii of 1 to 4 pixels, which hide about 8% of the map,
 * and a strip along one side of up to an eighth of it, where the survey ends. */
enum { PIXELS_PER_HOLE = 256, LARGEST_STRIP = 8 };
static const double SMALLEST_RADIUS = 1, LARGEST_RADIUS = 4; /* pixels */

/* Where the mask's numbers begin in the sequence of the noise key, far beyond any pixel's noise. */
#define MASK_POSITION ((uint64_t)1 << 62)

static PetscErrorCode check_mask(const Mask *mask, const char *path)
{
  PetscInt observed = 0;

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < mask->ny * mask->nx; i++) {
    const float value = mask->observed[i];

    PetscCheck(value == 0 || value == 1, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: mask[%d][%d] is %.6g; it must be 1 (observed) or 0 (not)", path, (int)(i / mask->nx),
               (int)(i % mask->nx), (double)value);
    observed += value == 1;
  }
  PetscCheck(observed, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: mask has no observed pixel (1 = observed)", path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_mask(ProductReader *file, const char *path, Mask *mask)
{
  hsize_t shape[PRODUCT_MAX_RANK];
  int rank;

  PetscFunctionBeginUser;
  PetscCall(product_shape(file, "mask", &rank, shape));
  PetscCheck(rank == 2 && shape[0] == (hsize_t)mask->ny && shape[1] == (hsize_t)mask->nx, PETSC_COMM_SELF,
             NEPHRITE_ERR_INPUT, "%s: mask is not [y][x] = [%d][%d], the survey's map", path, (int)mask->ny,
             (int)mask->nx);
  PetscCall(PetscMalloc1((size_t)mask->ny * (size_t)mask->nx, &mask->observed));
  PetscCall(product_read(file, "mask", H5T_NATIVE_FLOAT, 0, shape[0], mask->observed));
  PetscCall(check_mask(mask, path));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mask_create(const SurveyConfig *survey, Mask **mask)
{
  ProductReader *file = NULL;
  Mask *m = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&m));
  *mask = m;
  m->ny = survey_ny(survey);
  m->nx = survey_nx(survey);
  if (!strcmp(survey->mask, "none")) PetscFunctionReturn(PETSC_SUCCESS);
  m->kind = strcmp(survey->mask, "random") ? MASK_FILE : MASK_RANDOM;
  if (m->kind == MASK_RANDOM) PetscFunctionReturn(PETSC_SUCCESS);

  PetscErrorCode error = product_open_foreign(survey->mask, &file);
  if (!error) error = read_mask(file, survey->mask, m);
  PetscCall(product_close(&file));
  PetscFunctionReturn(error);
}

PetscBool mask_exists(const Mask *mask)
{
  return mask->kind == MASK_NONE ? PETSC_FALSE : PETSC_TRUE;
}

/* Pixels whose centre is within the hole; holes do not wrap round, as the sky does not. */
static void cut_hole(const Mask *m, double y, double x, double radius, float *observed)
{
  const PetscInt first_y = (PetscInt)fmax(0, ceil(y - radius)), last_y = (PetscInt)fmin(m->ny - 1, floor(y + radius));
  const PetscInt first_x = (PetscInt)fmax(0, ceil(x - radius)), last_x = (PetscInt)fmin(m->nx - 1, floor(x + radius));

  for (PetscInt j = first_y; j <= last_y; j++)
    for (PetscInt i = first_x; i <= last_x; i++) {
      const double dy = j - y, dx = i - x;

      if (dy * dy + dx * dx <= radius * radius) observed[j * m->nx + i] = 0;
    }
}

/* \param side 0 … 3: low y, high y, low x, high x  \param share of the map's extent, 0 … 1 */
static void cut_strip(const Mask *m, int side, double share, float *observed)
{
  const PetscInt height = side < 2 ? (PetscInt)(share * m->ny) : m->ny;
  const PetscInt width = side < 2 ? m->nx : (PetscInt)(share * m->nx);
  const PetscInt y = side == 1 ? m->ny - height : 0, x = side == 3 ? m->nx - width : 0;

  for (PetscInt j = y; j < y + height; j++)
    for (PetscInt i = x; i < x + width; i++) observed[j * m->nx + i] = 0;
}

void mask_draw(const Mask *mask, RandomKey noise, float *observed)
{
  const PetscInt pixels = mask->ny * mask->nx, holes = (pixels + PIXELS_PER_HOLE / 2) / PIXELS_PER_HOLE;
  double u[3];

  if (mask->kind == MASK_FILE)
    memcpy(observed, mask->observed, (size_t)pixels * sizeof *observed);
  else
    for (PetscInt i = 0; i < pixels; i++) observed[i] = 1;
  if (mask->kind != MASK_RANDOM) return;

  random_uniform(noise, MASK_POSITION, 2, u);
  cut_strip(mask, (int)(4 * u[0]), u[1] / LARGEST_STRIP, observed);
  for (PetscInt hole = 0; hole < holes; hole++) {
    random_uniform(noise, MASK_POSITION + 2 + 3 * (uint64_t)hole, 3, u);
    cut_hole(mask, u[0] * mask->ny - 0.5, u[1] * mask->nx - 0.5,
             SMALLEST_RADIUS + u[2] * (LARGEST_RADIUS - SMALLEST_RADIUS), observed);
  }
}

PetscErrorCode mask_destroy(Mask **mask)
{
  PetscFunctionBeginUser;
  if (!*mask) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree((*mask)->observed));
  PetscCall(PetscFree(*mask));
  PetscFunctionReturn(PETSC_SUCCESS);
}
