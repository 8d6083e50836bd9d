/** \file efficiency.c  How strongly matter at a distance lenses the sources of a bin.  \ingroup lensing */
#include "internal.h"

#include <math.h>

/* Two-point Gauss-Legendre on [0, 1]; both weights are 1/2. */
static const double gauss[2] = {0.21132486540518713, 0.7886751345948129};

/* Steps of a table finer than it came, where it is coarse: 1/chi must be smooth on them. */
static PetscInt pieces(const SourceBins *bins, PetscInt interval)
{
  const double widest = 0.005 * (1 + bins->z[interval]);

  return (PetscInt)ceil((bins->z[interval + 1] - bins->z[interval]) / widest);
}

/* The same distributions with points added on their straight lines. */
static PetscErrorCode refine(const SourceBins *bins, SourceBins **refined)
{
  PetscInt count = 1, next = 0;
  double *z = NULL, *n = NULL;

  PetscFunctionBeginUser;
  for (PetscInt c = 0; c < bins->count - 1; c++) count += pieces(bins, c);
  PetscCall(PetscMalloc2((size_t)count, &z, (size_t)count * (size_t)bins->bins, &n));
  for (PetscInt c = 0; c < bins->count - 1; c++)
    for (PetscInt piece = 0, all = pieces(bins, c); piece < all; piece++)
      z[next++] = bins->z[c] + (bins->z[c + 1] - bins->z[c]) * (double)piece / (double)all;
  z[next] = bins->z[bins->count - 1];
  for (PetscInt i = 0; i < bins->bins; i++)
    for (PetscInt k = 0; k < count; k++) n[i * count + k] = source_bins_density(bins, i, z[k]);
  const PetscErrorCode error = source_bins_from_table(bins->bins, count, z, n, refined);

  PetscCall(PetscFree2(z, n));
  PetscFunctionReturn(error);
}

PetscErrorCode efficiency_create(const SourceBins *bins, Efficiency **efficiency)
{
  Efficiency *e = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&e));
  *efficiency = e; /* handed over at once: efficiency_destroy() frees it whatever fails below */
  PetscCall(refine(bins, &e->bins));
  e->intervals = e->bins->count - 1;

  const size_t points = 2 * (size_t)e->intervals, knots = (size_t)e->bins->count;
  PetscCall(PetscMalloc5(points, &e->s, points * (size_t)bins->bins, &e->weight, points, &e->inverse, knots, &e->number,
                         knots, &e->nearness));
  for (PetscInt c = 0; c < e->intervals; c++)
    for (int g = 0; g < 2; g++) {
      const double width = e->bins->z[c + 1] - e->bins->z[c];

      e->s[2 * c + g] = e->bins->z[c] + gauss[g] * width;
      for (PetscInt i = 0; i < bins->bins; i++) {
        const double *n = e->bins->density + i * e->bins->count + c;

        e->weight[2 * (i * e->intervals + c) + g] = width / 2 * ((1 - gauss[g]) * n[0] + gauss[g] * n[1]);
      }
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

void efficiency_prepare(Efficiency *efficiency, const Background *background, double delta_z)
{
  efficiency->background = background;
  efficiency->delta_z = delta_z;
  for (PetscInt g = 0; g < 2 * efficiency->intervals; g++) {
    const double z = efficiency->s[g] + delta_z;

    efficiency->inverse[g] = z > 0 ? 1 / background_comoving_distance(background, z) : 0;
  }
}

/* Running integrals from each knot to the end. */
static void accumulate(Efficiency *e, PetscInt bin)
{
  const double *weight = e->weight + 2 * bin * e->intervals;

  e->number[e->intervals] = e->nearness[e->intervals] = 0;
  for (PetscInt c = e->intervals - 1; c >= 0; c--) {
    const double *w = weight + 2 * c, *inverse = e->inverse + 2 * c;

    e->number[c] = e->number[c + 1] + w[0] + w[1];
    e->nearness[c] = e->nearness[c + 1] + w[0] * inverse[0] + w[1] * inverse[1];
  }
}

/* The part of interval c above s: number and nearness. */
static void add_partial(const Efficiency *e, PetscInt bin, PetscInt c, double s, double sums[2])
{
  const double width = e->bins->z[c + 1] - s;

  for (int g = 0; g < 2; g++) {
    const double here = s + gauss[g] * width, weight = width / 2 * source_bins_density(e->bins, bin, here);

    sums[0] += weight;
    sums[1] += weight / background_comoving_distance(e->background, here + e->delta_z);
  }
}

PetscErrorCode efficiency_evaluate(Efficiency *efficiency, PetscInt bin, const LineOfSight *sight, double *values,
                                   double *visible)
{
  const SourceBins *bins = efficiency->bins;
  const double delta_z = efficiency->delta_z;
  PetscInt c = efficiency->intervals; /* the last knot that is not above the node */

  PetscFunctionBeginUser;
  accumulate(efficiency, bin);
  for (PetscInt n = sight->count - 1; n >= 0; n--) {
    const double s = sight->z[n] - delta_z;

    while (c >= 0 && bins->z[c] > s) c--;

    const PetscInt above = PetscMin(c + 1, efficiency->intervals);
    double sums[2] = {efficiency->number[above], efficiency->nearness[above]};

    if (c >= 0 && c < efficiency->intervals) add_partial(efficiency, bin, c, s, sums);
    values[n] = sums[0] - sight->chi[n] * sums[1];
  }

  while (c >= 0 && bins->z[c] > -delta_z) c--; /* the same at z = 0 */
  double sums[2] = {efficiency->number[PetscMin(c + 1, efficiency->intervals)], 0};

  if (c >= 0 && c < efficiency->intervals) add_partial(efficiency, bin, c, -delta_z, sums);
  *visible = sums[0];
  PetscCheck(*visible > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "delta_z_%d is %.6g: it leaves nothing of the bin at z > 0", (int)bin + 1, delta_z);
  for (PetscInt n = 0; n < sight->count; n++) values[n] /= *visible;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode efficiency_destroy(Efficiency **efficiency)
{
  PetscFunctionBeginUser;
  if (*efficiency) {
    Efficiency *e = *efficiency;

    PetscCall(source_bins_destroy(&e->bins));
    PetscCall(PetscFree5(e->s, e->weight, e->inverse, e->number, e->nearness));
    PetscCall(PetscFree(*efficiency));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
