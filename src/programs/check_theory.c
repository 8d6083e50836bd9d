/** \file check_theory.c  Reading models and tables of numbers that theory is compared with.  \ingroup programs */
#include "check_theory.h"

#include <stdlib.h>
#include <string.h>

PetscErrorCode check_values_read(ProductReader *file, const char *name, int rank, hsize_t *shape, CheckValues *values)
{
  hsize_t found[PRODUCT_MAX_RANK], count = 1;
  int found_rank;

  PetscFunctionBeginUser;
  PetscCall(product_shape(file, name, &found_rank, found));
  PetscCheck(found_rank == rank, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "dataset %s has %d axes, not %d", name,
             found_rank, rank);
  for (int axis = 0; axis < rank; axis++) {
    PetscCheck(found[axis] > 0 && (shape[axis] == 0 || found[axis] == shape[axis]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "dataset %s has %llu values along axis %d; the file's other datasets ask for %llu", name,
               (unsigned long long)found[axis], axis, (unsigned long long)shape[axis]);
    shape[axis] = found[axis];
    count *= found[axis];
  }
  PetscCall(PetscIntCast((PetscInt64)count, &values->count));
  PetscCall(check_values_destroy(values));
  PetscCall(PetscMalloc1(count, &values->values));
  PetscCall(product_read(file, name, H5T_NATIVE_DOUBLE, 0, shape[0], values->values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_values_destroy(CheckValues *values)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(values->values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_models_read(ProductReader *file, const char *name, CheckModels *models)
{
  hsize_t shape[2] = {0, 0};
  PetscInt names = 1;

  PetscFunctionBeginUser;
  PetscCall(check_values_read(file, name, 2, shape, &models->values));
  models->models = (PetscInt)shape[0];
  models->columns = (PetscInt)shape[1];
  PetscCall(product_read_attribute_text(file, name, "parameters", &models->names));
  for (const char *c = models->names; *c; c++) names += *c == ',';
  PetscCheck(names == models->columns, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "dataset %s has %d columns and names %d parameters: %s", name, (int)models->columns, (int)names,
             models->names);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_models_destroy(CheckModels *models)
{
  PetscFunctionBeginUser;
  PetscCall(check_values_destroy(&models->values));
  PetscCall(PetscFree(models->names));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The name of a column, without blanks around it.  \param[out] name [64] */
static void column_name(const CheckModels *models, PetscInt column, char *name)
{
  const char *start = models->names;
  size_t length = 0;

  for (PetscInt c = 0; c < column; c++) start = strchr(start, ',') + 1;
  start += strspn(start, " ");
  for (; start[length] && start[length] != ',' && start[length] != ' ' && length < 63; length++)
    name[length] = start[length];
  name[length] = '\0';
}

PetscBool check_models_have(const CheckModels *models, const char *parameter)
{
  char name[64];

  for (PetscInt c = 0; c < models->columns; c++) {
    column_name(models, c, name);
    if (!strcmp(name, parameter)) return PETSC_TRUE;
  }
  return PETSC_FALSE;
}

/* Where a parameter goes; NULL for an unknown name. */
static double *find_place(const char *name, Cosmology *cosmology, Systematics *systematics)
{
  const struct {
    const char *name;
    double *place;
  } plain[] = {
      {"Omega_c", &cosmology->Omega_c}, {"Omega_b", &cosmology->Omega_b},
      {"sigma_8", &cosmology->sigma_8}, {"h", &cosmology->h},
      {"n_s", &cosmology->n_s},         {"w_0", &cosmology->w_0},
      {"w_a", &cosmology->w_a},         {"A_IA", &systematics->A_IA},
      {"eta_IA", &systematics->eta_IA},
  };
  const struct {
    const char *prefix;
    double *place;
  } of_bins[] = {{"delta_z_", systematics->delta_z}, {"m_", systematics->m}};

  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    if (!strcmp(name, plain[i].name)) return plain[i].place;
  for (size_t i = 0; i < sizeof of_bins / sizeof *of_bins; i++) {
    const size_t length = strlen(of_bins[i].prefix);
    char *end;

    if (strncmp(name, of_bins[i].prefix, length)) continue;
    const long bin = strtol(name + length, &end, 10); /* bins are named from 1 */
    if (!*end && bin >= 1 && bin <= NEPHRITE_MAX_BINS) return of_bins[i].place + bin - 1;
  }
  return NULL;
}

PetscErrorCode check_models_row(const CheckModels *models, PetscInt row, Cosmology *cosmology, Systematics *systematics)
{
  double Omega_m = -1;
  char name[64];

  PetscFunctionBeginUser;
  for (PetscInt c = 0; c < models->columns; c++) {
    double *place;

    column_name(models, c, name);
    place = strcmp(name, "Omega_m") ? find_place(name, cosmology, systematics) : &Omega_m;
    PetscCheck(place, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "the file has a parameter \"%s\", unknown to nephrite",
               name);
    *place = models->values.values[row * models->columns + c];
  }
  if (Omega_m >= 0) cosmology->Omega_c = Omega_m - cosmology->Omega_b;
  PetscFunctionReturn(PETSC_SUCCESS);
}
