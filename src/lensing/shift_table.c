/** \file shift_table.c  A user's own log-normal shifts, from a file.  \ingroup lensing */
#include "internal.h"

#include <math.h>

/* Of a file that claims more it is not even worth asking for the memory. */
enum { AXES = 3, MOST_NODES = 1 << 20 };
static const char *const axis_names[AXES] = {"Omega_m", "sigma_8", "w_0"};

struct ShiftTable {
  PetscInt bins;
  PetscInt count[AXES];
  double *axis[AXES]; /* [count[a]] */
  double *shift; /* [bins][count[0]][count[1]][count[2]] */
};

static PetscErrorCode read_axis(ProductReader *reader, const char *path, int a, ShiftTable *table)
{
  int rank;
  hsize_t shape[PRODUCT_MAX_RANK];

  PetscFunctionBeginUser;
  PetscCall(product_shape(reader, axis_names[a], &rank, shape));
  PetscCheck(rank == 1 && shape[0] >= 2 && shape[0] <= 4096, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: axis %s must have 2 to 4096 values", path, axis_names[a]);
  table->count[a] = (PetscInt)shape[0];
  PetscCall(PetscMalloc1(shape[0], &table->axis[a]));
  PetscCall(product_read(reader, axis_names[a], H5T_NATIVE_DOUBLE, 0, shape[0], table->axis[a]));
  for (PetscInt k = 1; k < table->count[a]; k++) /* NaN neither */
    PetscCheck(table->axis[a][k] > table->axis[a][k - 1], PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: axis %s has %.6g after %.6g; it must increase", path, axis_names[a], table->axis[a][k],
               table->axis[a][k - 1]);
  PetscCheck(isfinite(table->axis[a][0]) && isfinite(table->axis[a][table->count[a] - 1]), PETSC_COMM_SELF,
             NEPHRITE_ERR_INPUT, "%s: axis %s goes from %.6g to %.6g; it must be finite", path, axis_names[a],
             table->axis[a][0], table->axis[a][table->count[a] - 1]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_table(ProductReader *reader, const char *path, ShiftTable *table)
{
  int rank;
  hsize_t shape[PRODUCT_MAX_RANK];
  size_t nodes = 1;

  PetscFunctionBeginUser;
  for (int a = 0; a < AXES; a++) {
    PetscCall(read_axis(reader, path, a, table));
    nodes *= (size_t)table->count[a];
  }
  PetscCheck(nodes <= MOST_NODES, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: its axes have %d x %d x %d values; %d nodes are enough of functions as smooth as these", path,
             (int)table->count[0], (int)table->count[1], (int)table->count[2], MOST_NODES);
  PetscCall(product_shape(reader, "shift", &rank, shape));
  PetscCheck(rank == 1 + AXES && shape[1] == (hsize_t)table->count[0] && shape[2] == (hsize_t)table->count[1] &&
                 shape[3] == (hsize_t)table->count[2],
             PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: shift must have the shape [bins][Omega_m][sigma_8][w_0]", path);
  PetscCheck(shape[0] == (hsize_t)table->bins, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: shift has %d bins, the survey has %d", path, (int)shape[0], (int)table->bins);
  PetscCall(PetscMalloc1((size_t)table->bins * nodes, &table->shift));
  PetscCall(product_read(reader, "shift", H5T_NATIVE_DOUBLE, 0, shape[0], table->shift));
  for (size_t i = 0; i < (size_t)table->bins * nodes; i++)
    PetscCheck(table->shift[i] > 0 && isfinite(table->shift[i]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: shift of bin %d has the value %.6g; shifts are positive", path, (int)(i / nodes), table->shift[i]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shift_table_create(const char *path, PetscInt bins, ShiftTable **table)
{
  ProductReader *reader = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(table));
  (*table)->bins = bins;
  error = product_open_foreign(path, &reader);
  if (!error) error = read_table(reader, path, *table);
  PetscCall(product_close(&reader));
  PetscCall(error);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The cell of an axis that holds x, and where in it. */
static PetscErrorCode locate(const ShiftTable *table, int a, double x, PetscInt *cell, double *fraction)
{
  const double *axis = table->axis[a], low = axis[0], high = axis[table->count[a] - 1];
  PetscInt c = 0;

  PetscFunctionBeginUser;
  PetscCheck(x >= low && x <= high, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s is %.6g; survey_shift_table covers %.6g to %.6g", axis_names[a], x, low, high);
  while (c < table->count[a] - 2 && axis[c + 1] <= x) c++;
  *cell = c;
  *fraction = (x - axis[c]) / (axis[c + 1] - axis[c]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shift_table_look_up(const ShiftTable *table, const Cosmology *cosmology, double *shift)
{
  const double x[AXES] = {cosmology->Omega_c + cosmology->Omega_b, cosmology->sigma_8, cosmology->w_0};
  PetscInt cell[AXES];
  double fraction[AXES];

  PetscFunctionBeginUser;
  for (int a = 0; a < AXES; a++) PetscCall(locate(table, a, x[a], &cell[a], &fraction[a]));
  for (PetscInt i = 0; i < table->bins; i++) {
    shift[i] = 0;
    for (int corner = 0; corner < 1 << AXES; corner++) { /* bit a of corner: the upper end on axis a */
      PetscInt index = i;
      double weight = 1;

      for (int a = 0; a < AXES; a++) {
        const int upper = corner >> a & 1;

        index = index * table->count[a] + cell[a] + upper;
        weight *= upper ? fraction[a] : 1 - fraction[a];
      }
      shift[i] += weight * table->shift[index];
    }
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shift_table_destroy(ShiftTable **table)
{
  PetscFunctionBeginUser;
  if (*table) {
    for (int a = 0; a < AXES; a++) PetscCall(PetscFree((*table)->axis[a]));
    PetscCall(PetscFree((*table)->shift));
    PetscCall(PetscFree(*table));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
