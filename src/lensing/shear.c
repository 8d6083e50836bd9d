/** \file shear.c  Shear of a periodic convergence map and back (Kaiser & Squires 1993).  \ingroup lensing
 *
 * Per mode, gamma = (c + i s) kappa with c = (k_x^2 - k_y^2)/k^2 and s = 2 k_x k_y/k^2.
 */
#include "nephrite/lensing.h"

#include <complex.h>

struct ShearTransform {
  PetscInt ny, nx;
  FourierPart part;
  size_t modes; /* that are here */
  double *c, *s; /* [modes], times 1/(ny nx) for the inverse transform */
  double *inverse_c, *inverse_s; /* c/(c^2 + s^2), s/(c^2 + s^2) likewise; 0 where c = s = 0 */
  double complex *first; /* [modes] of kappa, or of gamma_1 */
  double complex *second; /* modes of gamma_2 */
  Fourier *fourier;
};

/* On a Nyquist line k and -k are the same mode: a real map has none of the part that is odd in k_x, which s is. */
static PetscBool is_nyquist(PetscInt i, PetscInt n)
{
  return 2 * i == n ? PETSC_TRUE : PETSC_FALSE;
}

/* Where a mode stands.  \param x  among the columns that are here */
static PetscInt mode_index(const ShearTransform *t, PetscInt y, PetscInt x)
{
  return t->part.transposed ? x * t->ny + y : y * t->part.columns + x;
}

static void set_factors(ShearTransform *t)
{
  const PetscInt ny = t->ny, nx = t->nx;
  const double scale = 1 / ((double)ny * (double)nx);

  for (PetscInt y = 0; y < ny; y++)
    for (PetscInt column = 0; column < t->part.columns; column++) {
      const PetscInt x = t->part.first_column + column, i = mode_index(t, y, column);
      const PetscBool mean = !x && !y ? PETSC_TRUE : PETSC_FALSE;
      const double kx = (double)x / nx, ky = (double)fourier_frequency(y, ny) / ny; /* cycles per pixel: same on both */
      const double k2 = kx * kx + ky * ky;
      const double c = mean ? 0 : (kx * kx - ky * ky) / k2;
      const double s = !mean && !is_nyquist(x, nx) && !is_nyquist(y, ny) ? 2 * kx * ky / k2 : 0;
      const double norm = c * c + s * s;

      t->c[i] = c * scale;
      t->s[i] = s * scale;
      t->inverse_c[i] = norm > 0 ? c / norm * scale : 0;
      t->inverse_s[i] = norm > 0 ? s / norm * scale : 0;
    }
}

static PetscErrorCode create_factors(ShearTransform *t)
{
  PetscFunctionBeginUser;
  PetscCall(PetscMalloc4(t->modes, &t->c, t->modes, &t->s, t->modes, &t->inverse_c, t->modes, &t->inverse_s));
  PetscCall(PetscMalloc2(t->modes, &t->first, t->modes, &t->second));
  set_factors(t);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shear_transform_create_slab(MPI_Comm comm, PetscInt ny, PetscInt nx, ShearTransform **transform)
{
  ShearTransform *t = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&t));
  *transform = t;
  PetscCall(fourier_create_slab(comm, ny, nx, &t->fourier));
  t->ny = ny;
  t->nx = nx;
  t->part = fourier_part(t->fourier);
  t->modes = (size_t)ny * (size_t)t->part.columns;
  PetscCall(group_agree(comm, create_factors(t)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shear_transform_create(PetscInt ny, PetscInt nx, ShearTransform **transform)
{
  PetscFunctionBeginUser;
  PetscCall(shear_transform_create_slab(PETSC_COMM_SELF, ny, nx, transform));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* modes = transform of map [rows][nx] */
static PetscErrorCode transform_map(ShearTransform *t, const double *map, double complex *modes)
{
  double *const padded = fourier_map(t->fourier);

  PetscFunctionBeginUser;
  for (PetscInt row = 0; row < t->part.rows; row++)
    PetscCall(PetscArraycpy(padded + row * t->part.line, map + row * t->nx, t->nx));
  fourier_forward(t->fourier);
  PetscCall(PetscArraycpy(modes, fourier_modes(t->fourier), t->modes));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* map [rows][nx] = inverse transform of the modes in t->fourier, whose factors have normalised them */
static PetscErrorCode transform_modes(ShearTransform *t, double *map)
{
  const double *const padded = fourier_map(t->fourier);

  PetscFunctionBeginUser;
  fourier_inverse(t->fourier);
  for (PetscInt row = 0; row < t->part.rows; row++)
    PetscCall(PetscArraycpy(map + row * t->nx, padded + row * t->part.line, t->nx));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shear_from_convergence(ShearTransform *transform, const double *kappa, double *gamma1, double *gamma2)
{
  double complex *const modes = fourier_modes(transform->fourier);

  PetscFunctionBeginUser;
  PetscCall(transform_map(transform, kappa, transform->first));
  for (size_t i = 0; i < transform->modes; i++) modes[i] = transform->c[i] * transform->first[i];
  PetscCall(transform_modes(transform, gamma1));
  for (size_t i = 0; i < transform->modes; i++) modes[i] = transform->s[i] * transform->first[i];
  PetscCall(transform_modes(transform, gamma2));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* e_mode = c gamma1 + s gamma2 and, unless it is NULL, b_mode = c gamma2 - s gamma1, per mode. */
static PetscErrorCode rotate_shear(ShearTransform *t, const double *c, const double *s, const double *gamma1,
                                   const double *gamma2, double *e_mode, double *b_mode)
{
  double complex *const modes = fourier_modes(t->fourier);

  PetscFunctionBeginUser;
  PetscCall(transform_map(t, gamma1, t->first));
  PetscCall(transform_map(t, gamma2, t->second));
  for (size_t i = 0; i < t->modes; i++) modes[i] = c[i] * t->first[i] + s[i] * t->second[i];
  PetscCall(transform_modes(t, e_mode));
  if (!b_mode) PetscFunctionReturn(PETSC_SUCCESS);
  for (size_t i = 0; i < t->modes; i++) modes[i] = c[i] * t->second[i] - s[i] * t->first[i];
  PetscCall(transform_modes(t, b_mode));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode convergence_from_shear(ShearTransform *transform, const double *gamma1, const double *gamma2,
                                      double *e_mode, double *b_mode)
{
  PetscFunctionBeginUser;
  PetscCall(rotate_shear(transform, transform->inverse_c, transform->inverse_s, gamma1, gamma2, e_mode, b_mode));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shear_project(ShearTransform *transform, const double *gamma1, const double *gamma2, double *e_mode,
                             double *b_mode)
{
  PetscFunctionBeginUser;
  PetscCall(rotate_shear(transform, transform->c, transform->s, gamma1, gamma2, e_mode, b_mode));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void shear_transform_factors(const ShearTransform *transform, PetscInt y, PetscInt x, double *c, double *s)
{
  const PetscInt i = mode_index(transform, y, x);
  const double pixels = (double)transform->ny * (double)transform->nx;

  *c = transform->c[i] * pixels; /* those of the table contain the inverse transform's 1/(ny nx) */
  *s = transform->s[i] * pixels;
}

double shear_transform_visibility(const ShearTransform *transform, PetscInt y, PetscInt x)
{
  double c, s;

  shear_transform_factors(transform, y, x, &c, &s);
  return c * c + s * s;
}

PetscErrorCode shear_transform_destroy(ShearTransform **transform)
{
  ShearTransform *t = *transform;

  PetscFunctionBeginUser;
  if (!t) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(fourier_destroy(&t->fourier));
  PetscCall(PetscFree4(t->c, t->s, t->inverse_c, t->inverse_s));
  PetscCall(PetscFree2(t->first, t->second));
  PetscCall(PetscFree(*transform));
  PetscFunctionReturn(PETSC_SUCCESS);
}
