/** \file one_point.c  How the values of a few maps are distributed, at several scales.  \ingroup lensing */
#include "nephrite/lensing.h"

#include <complex.h>
#include <math.h>

/* Standard deviations of the Gaussians that smooth the maps, in pixels; the first is the map itself. */
static const double scales[ONE_POINT_SCALES] = {0, 1, 2, 4};

struct OnePoint {
  PetscInt maps, intervals, ny, nx;
  Fourier *fourier;
  double _Complex *modes; /* [maps][ny][nx/2+1] */
  double *filter; /* [scales][ny][nx/2+1] and by the number of pixels, 0 at k = 0 */
  float *smooth; /* [maps][ny][nx] at the scale at hand */
  float *value; /* [ny][nx] of the map or sum at hand */
  float *edge; /* [intervals + 1] in its units */
  double *within, *part; /* [intervals + 1] pixels between this edge and the next one; by how much they are beyond it */
};

static size_t pixel_count(const OnePoint *o)
{
  return (size_t)(o->ny * o->nx);
}

static size_t mode_count(const OnePoint *o)
{
  return (size_t)(o->ny * (o->nx / 2 + 1));
}

static void fill_filters(OnePoint *o)
{
  double *filter = o->filter;

  for (int scale = 0; scale < ONE_POINT_SCALES; scale++)
    for (PetscInt y = 0; y < o->ny; y++)
      for (PetscInt x = 0; x <= o->nx / 2; x++) {
        const double k = 2 * M_PI * hypot((double)fourier_frequency(y, o->ny) / o->ny, (double)x / o->nx);

        *filter++ = k > 0 ? exp(-pow(k * scales[scale], 2) / 2) / (double)pixel_count(o) : 0;
      }
}

/* From -3.3 to 9.1, densest in the middle: lensing is skewed to high values, and noise is not. */
static void fill_edges(OnePoint *o)
{
  for (PetscInt i = 0; i <= o->intervals; i++) o->edge[i] = (float)sinh(-1.9 + 4.8 * (double)i / (double)o->intervals);
}

PetscErrorCode one_point_create(PetscInt ny, PetscInt nx, PetscInt maps, PetscInt intervals, OnePoint **one_point)
{
  OnePoint *o = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&o));
  *one_point = o;
  o->maps = maps;
  o->intervals = intervals;
  o->ny = ny;
  o->nx = nx;
  PetscCall(fourier_create(ny, nx, &o->fourier));
  PetscCall(PetscMalloc1((size_t)maps * mode_count(o), &o->modes));
  PetscCall(PetscMalloc1((size_t)ONE_POINT_SCALES * mode_count(o), &o->filter));
  PetscCall(PetscMalloc2((size_t)maps * pixel_count(o), &o->smooth, pixel_count(o), &o->value));
  PetscCall(PetscMalloc3(intervals + 1, &o->edge, intervals + 1, &o->within, intervals + 1, &o->part));
  fill_filters(o);
  fill_edges(o);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscInt one_point_count(const OnePoint *o)
{
  return o->maps * (o->maps + 1) / 2 * ONE_POINT_SCALES * o->intervals;
}

static void smooth_all(OnePoint *o, size_t scale)
{
  const double *const filter = o->filter + scale * mode_count(o), *const map = fourier_map(o->fourier);

  for (size_t m = 0; m < (size_t)o->maps; m++) {
    for (size_t mode = 0; mode < mode_count(o); mode++)
      fourier_modes(o->fourier)[mode] = filter[mode] * o->modes[m * mode_count(o) + mode];
    fourier_inverse(o->fourier);
    for (size_t i = 0; i < pixel_count(o); i++) o->smooth[m * pixel_count(o) + i] = (float)map[i];
  }
}

/* One map, or the sum of two. */
static void take_pair(OnePoint *o, size_t first, size_t second)
{
  const float *a = o->smooth + first * pixel_count(o), *b = o->smooth + second * pixel_count(o);

  for (size_t i = 0; i < pixel_count(o); i++) o->value[i] = first == second ? a[i] : a[i] + b[i];
}

static double variance(const OnePoint *o)
{
  double sum = 0;

  for (size_t i = 0; i < pixel_count(o); i++) sum += (double)o->value[i] * (double)o->value[i];
  return sum / (double)pixel_count(o);
}

/* Edges at or below a value. */
static PetscInt edges_below(const OnePoint *o, float value)
{
  PetscInt count = 0;

  for (PetscInt n = 0; n <= o->intervals; n++) count += value >= o->edge[n];
  return count;
}

/* How much of each interval, in the mean over pixels, lies below their values: all of it of those beyond, and a part of
 * those within. */
static void shares(const OnePoint *o, double unit, double *share)
{
  const float scale = (float)(1 / unit);
  double beyond = 0;

  for (PetscInt n = 0; n <= o->intervals; n++) o->within[n] = o->part[n] = 0;
  for (size_t i = 0; i < pixel_count(o); i++) {
    const float value = scale * o->value[i];
    const PetscInt below = edges_below(o, value);

    if (below == 0) continue;
    o->within[below - 1]++;
    o->part[below - 1] += (double)(value - o->edge[below - 1]);
  }
  for (PetscInt n = o->intervals - 1; n >= 0; n--) {
    beyond += o->within[n + 1];
    share[n] = (beyond + o->part[n] / (double)(o->edge[n + 1] - o->edge[n])) / (double)pixel_count(o);
  }
}

/* Of every pair at every scale the variance, or where units are given the shares. */
static void measure(OnePoint *o, const float *maps, const double *unit, double *out)
{
  fourier_forward_maps(o->fourier, o->maps, maps, o->modes);
  for (size_t scale = 0; scale < ONE_POINT_SCALES; scale++) {
    size_t place = scale;

    smooth_all(o, scale);
    for (PetscInt i = 0; i < o->maps; i++)
      for (PetscInt j = i; j < o->maps; j++, place += ONE_POINT_SCALES) {
        take_pair(o, (size_t)i, (size_t)j);
        if (unit)
          shares(o, unit[place], out + place * (size_t)o->intervals);
        else
          out[place] = variance(o);
      }
  }
}

void one_point_variance(OnePoint *o, const float *maps, double *variance)
{
  measure(o, maps, NULL, variance);
}

void one_point_of(OnePoint *o, const float *maps, const double *unit, double *share)
{
  measure(o, maps, unit, share);
}

PetscErrorCode one_point_destroy(OnePoint **one_point)
{
  OnePoint *o = *one_point;

  PetscFunctionBeginUser;
  if (!o) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(fourier_destroy(&o->fourier));
  PetscCall(PetscFree(o->modes));
  PetscCall(PetscFree(o->filter));
  PetscCall(PetscFree2(o->smooth, o->value));
  PetscCall(PetscFree3(o->edge, o->within, o->part));
  PetscCall(PetscFree(*one_point));
  PetscFunctionReturn(PETSC_SUCCESS);
}
