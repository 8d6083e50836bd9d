/* nephrite-test: float64 */
#include "test_recompute.c"
