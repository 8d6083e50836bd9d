/** \file shift.c  The log-normal shift: skewness of the convergence smoothed over one pixel, from perturbation theory.
 *
 * Friedrich et al. 2018 (1710.05162), 2020 (1912.06621); Boruah et al. 2022 (2204.13216); Hilbert et al. 2011
 * (1105.3980). \ingroup lensing */
#include "internal.h"

#include <math.h>
#include <string.h>

/* Distances served, Mpc/h: what is nearer than the first lenses nothing, and no universe admitted is deeper. */
#define CHI_MIN 0.1
#define CHI_MAX 1e6

/* A disc's window is broad: every second wavenumber of the grid will do. */
enum { STRIDE = 2, WAVENUMBERS = (POWER_POINTS + STRIDE - 1) / STRIDE };
#define STEP (STRIDE * POWER_LN_K_STEP)

/* W^2 and dW^2/dlnx of the disc, W(x) = 2 J1(x)/x, so dW/dx = -2 J2(x)/x. */
static void disc(double x, double *squared, double *slope)
{
  if (x < 1e-3) {
    *squared = 1 - x * x / 4;
    *slope = -x * x / 2;
  } else {
    const double W = 2 * j1(x) / x;

    *squared = W * W;
    *slope = -4 * W * jn(2, x);
  }
}

PetscErrorCode pixel_moments_create(double pixel, PixelMoments **moments)
{
  PixelMoments *m = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&m));
  *moments = m; /* handed over at once: pixel_moments_destroy() frees it whatever fails below */
  m->angle = pixel / sqrt(M_PI);
  m->ln_radius_min = log(CHI_MIN * m->angle);
  m->points = WAVENUMBERS + (PetscInt)ceil(log(CHI_MAX / CHI_MIN) / STEP) + 3;
  PetscCall(PetscMalloc2(m->points, &m->squared, m->points, &m->slope));
  /* one point below the smallest kR, for interpolation in R */
  for (PetscInt i = 0; i < m->points; i++)
    disc(exp(POWER_LN_K_MIN + m->ln_radius_min + (double)(i - 1) * STEP), m->squared + i, m->slope + i);
  PetscFunctionReturn(PETSC_SUCCESS);
}

void pixel_moments_clear(PixelMoments *moments)
{
  memset(moments->second, 0, sizeof moments->second);
  memset(moments->third, 0, sizeof moments->third);
}

/* Projected variances at one radius: of the linear density today, its slope by ln R, and of the nonlinear density. */
typedef struct {
  double linear, linear_slope, nonlinear;
} ProjectedVariance;

/* sigma^2(R) = int k dk/(2 pi) P(k) W^2(kR).  On grids uniform in ln k and ln R the filter depends on the sum of their
 * indices alone; between radii, four-point Lagrange. */
static ProjectedVariance project(const PixelMoments *moments, double ln_radius, const NodeMatter *matter)
{
  const double position = fmax((ln_radius - moments->ln_radius_min) / STEP, 0);
  const PetscInt cell = PetscMin((PetscInt)position, moments->points - WAVENUMBERS - 3);
  const double t = position - (double)cell;
  const double c0 = -t * (t - 1) * (t - 2) / 6, c1 = (t + 1) * (t - 1) * (t - 2) / 2, c2 = -(t + 1) * t * (t - 2) / 2,
               c3 = (t + 1) * t * (t - 1) / 6;
  const double *squared = moments->squared + cell, *slope = moments->slope + cell;
  ProjectedVariance sum = {0};
  double area = POWER_K_MIN * POWER_K_MIN / (2 * M_PI) * STEP; /* k^2/(2 pi) dlnk */
  const double area_step = exp(2 * STEP);

  for (int i = 0; i < WAVENUMBERS; i++) {
    const double filter = c0 * squared[i] + c1 * squared[i + 1] + c2 * squared[i + 2] + c3 * squared[i + 3];
    const double derivative = c0 * slope[i] + c1 * slope[i + 1] + c2 * slope[i + 2] + c3 * slope[i + 3];

    sum.linear += area * matter->linear_today[STRIDE * i] * filter;
    sum.linear_slope += area * matter->linear_today[STRIDE * i] * derivative;
    sum.nonlinear += area * matter->nonlinear[STRIDE * i] * filter;
    area *= area_step;
  }
  return sum;
}

void pixel_moments_add(PixelMoments *moments, const LineOfSight *sight, PetscInt bins, PetscInt node,
                       const NodeMatter *matter)
{
  const ProjectedVariance variance = project(moments, log(sight->chi[node] * moments->angle), matter);
  /* Bernardeau 1995 (astro-ph/9502089): 36/7 + 3/2 dln sigma^2/dlnR in Einstein-de Sitter */
  const double S3 = 3 * (1 + (1 + matter->epsilon) / 2) + 1.5 * variance.linear_slope / variance.linear;

  for (PetscInt i = 0; i < bins; i++) {
    const double q = sight->kernel[i * sight->count + node], q2 = q * q * variance.nonlinear;

    moments->second[i] += sight->dchi[node] * q2;
    moments->third[i] += sight->dchi[node] * q * q2 * S3 * variance.nonlinear;
  }
}

/* <kappa^3> lambda^3 - 3 <kappa^2>^2 lambda^2 - <kappa^2>^3 = 0: with u = sigma/lambda the skewness is 3u + u^3, which
 * u = 2 sinh(asinh(skewness/2)/3) solves. */
PetscErrorCode pixel_moments_shift(const PixelMoments *moments, PetscInt bins, double *shift)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < bins; i++) {
    const double skewness = moments->third[i] / pow(moments->second[i], 1.5);

    PetscCheck(skewness > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "the convergence of bin %d has skewness %.6g; a log-normal field needs a positive one", (int)i,
               skewness);
    shift[i] = sqrt(moments->second[i]) / (2 * sinh(asinh(skewness / 2) / 3));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode pixel_moments_destroy(PixelMoments **moments)
{
  PetscFunctionBeginUser;
  if (*moments) {
    PetscCall(PetscFree2((*moments)->squared, (*moments)->slope));
    PetscCall(PetscFree(*moments));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
