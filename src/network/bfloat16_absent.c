/** \file bfloat16_absent.c  In the place of bfloat16.c where that cannot be built: products in bfloat16 are refused.
 * \ingroup network */
#include "internal.h"

PetscErrorCode bfloat16_products(const Bfloat16Products **products)
{
  PetscFunctionBeginUser;
  *products = NULL;
  PetscCheck(sizeof(Scalar) == sizeof(float), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "train_precision is bfloat16; this build computes in float64, which products in bfloat16 do not serve");
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
          "train_precision is bfloat16, and this build has no oneDNN to compute in it; build again with oneDNN 2 "
          "(on Debian: libdnnl-dev), or train in float32");
}
